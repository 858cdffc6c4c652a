"""``check``: everything that is wrong with particles, references and graphs, at once, and a repaired copy."""
