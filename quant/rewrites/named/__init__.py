"""Rules that a recipe names, which keep the network's outputs."""
