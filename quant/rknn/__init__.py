"""The .rknn format."""
