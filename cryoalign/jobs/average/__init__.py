"""``average``: from options to a run directory."""
