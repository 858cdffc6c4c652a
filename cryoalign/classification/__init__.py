"""Neighbours by rotation-invariant distance, multi-frequency class averaging, and what is read from their graphs."""
