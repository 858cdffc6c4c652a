"""``simulate``: from options to a run directory."""
