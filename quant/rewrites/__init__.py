"""Rewrites of graphs. To add one: a file in named/, cuts/ or adaptations/."""
