"""Causes that are one kind of operator's."""
