"""Keys of a recipe that qdq reads, their checks, and its targets as plain data."""
