"""What `./doit new` reads from a network's file, inside a toolchain."""
