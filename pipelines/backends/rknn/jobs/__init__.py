"""What rknn runs inside a toolchain."""
