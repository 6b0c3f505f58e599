"""Rules that a recipe names, which end the network earlier; simplify keeps its tail."""
