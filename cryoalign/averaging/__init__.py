"""Sums and averages of aligned images."""
