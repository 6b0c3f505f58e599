"""A recipe: read, checked, and resolved into plain data."""
