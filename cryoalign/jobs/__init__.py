"""What a subcommand does from start to finish: read, compute in blocks, write."""
