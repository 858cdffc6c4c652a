"""``align``: from options to a run directory."""
