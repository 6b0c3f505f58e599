"""What fills the pages, inside a toolchain."""
