"""Kinds of values that a key may have: each reads, checks and documents one."""
