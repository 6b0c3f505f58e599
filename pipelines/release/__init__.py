"""Releases of models: what git, GTO and DVC tell of them, and the archives that are handed out."""
