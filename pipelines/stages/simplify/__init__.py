"""simplify: the exported network without what inference doesn't need, and the recipe's rewrites."""
