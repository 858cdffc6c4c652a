"""Poses applied to pixels: one resampling from the raw image."""
