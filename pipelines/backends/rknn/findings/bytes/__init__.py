"""Known causes of large or slow files, one a module: see table.py."""
