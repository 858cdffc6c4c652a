"""The passes of averages: memberships, sums in parts, robust means, second looks."""
