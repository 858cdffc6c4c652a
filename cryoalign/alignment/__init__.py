"""Alignment strategies: where references come from."""
