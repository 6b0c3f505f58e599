"""What stands in an .rknn, read without the SDK."""
