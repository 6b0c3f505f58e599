"""Samples from pictures, npy files and lists, and random ones."""
