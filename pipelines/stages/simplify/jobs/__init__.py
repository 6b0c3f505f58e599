"""What simplify runs inside a toolchain."""
