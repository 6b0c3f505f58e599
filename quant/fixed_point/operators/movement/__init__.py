"""Operators that move values and compute none."""
