"""The machinery of a run: its directory, lock, record, parts, executors, log and memory."""
