"""What measures of projections share: lines, their quantiles, and curves over the angle."""
