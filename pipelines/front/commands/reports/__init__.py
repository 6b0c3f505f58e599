"""Commands that show and compare."""
