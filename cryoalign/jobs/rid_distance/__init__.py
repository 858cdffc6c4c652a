"""`rid-distance`: nearest neighbours in rotation- and shift-invariant distance."""
