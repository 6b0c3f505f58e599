"""What runs inside a toolchain: one function `run(job)` a file."""
