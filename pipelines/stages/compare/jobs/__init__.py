"""Outputs beside the float network's, and accuracy on labels, inside a toolchain."""
