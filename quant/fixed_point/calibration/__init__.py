"""Ranges of tensors, measured on data, and what is tuned by them."""
