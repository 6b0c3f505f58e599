"""What fixed_point runs inside a toolchain."""
