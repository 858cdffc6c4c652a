"""One pass over all particles, in parts: rows of a table become tiles of usable images."""
