"""What qdq runs inside a toolchain."""
