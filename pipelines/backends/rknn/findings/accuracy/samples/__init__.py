"""Causes that are in the data."""
