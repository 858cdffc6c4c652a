"""`sync`: one angle for every node of a graph from the angles of its edges."""
