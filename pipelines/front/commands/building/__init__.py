"""Commands that build, and tell what is built."""
