"""`compare`: distances and best poses between two images or stacks under several measures."""
