"""Measures of how alike two images are once one is turned and shifted: one file each, looked up by name."""
