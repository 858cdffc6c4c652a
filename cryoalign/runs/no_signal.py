"""Runs that are done but whose results are not to be trusted: what they say, and how they end."""

NO_SIGNAL_EXIT = 3
NO_SIGNAL = "no consistent signal found"
"""How the warning begins."""
