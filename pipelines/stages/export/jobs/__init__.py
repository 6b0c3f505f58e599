"""What export runs inside a toolchain: one file a kind of source."""
