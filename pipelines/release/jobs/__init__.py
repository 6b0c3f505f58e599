"""What a release runs inside a toolchain."""
