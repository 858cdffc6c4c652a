"""Particles made comparable: whitened, phases corrected, cropped, in parts."""
