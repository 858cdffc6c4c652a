"""Arrays in, arrays out: poses, transforms, search, resampling, CTF, noise. Imports nothing of ours above it."""
