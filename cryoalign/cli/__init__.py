"""What a user types: one module per subcommand, shared options, no numerics."""
