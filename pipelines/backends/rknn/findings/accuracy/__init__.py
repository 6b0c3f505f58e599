"""Known causes of lost accuracy, one a module: see table.py."""
