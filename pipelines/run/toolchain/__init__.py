"""Environments with pinned packages, made once and held against their pins."""
