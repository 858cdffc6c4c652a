"""The pass of an alignment: plan, parts, rounds, and the guard that judges them."""
