"""Data as the network gets it."""
