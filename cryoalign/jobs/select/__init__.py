"""``select``: from options to a run directory."""
