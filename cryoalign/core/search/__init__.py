"""The search over all rotations and shifts: references and images on rings, coarse cells, Newton's method."""
