"""Steerable bases: images as coefficients that a rotation multiplies by phases."""
