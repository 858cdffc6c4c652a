"""Phantoms, projections, CTF and noise: demonstration data and truth for tests."""
