"""STAR, MRC and cryoSPARC files: formats only."""
