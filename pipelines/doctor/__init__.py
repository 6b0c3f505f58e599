"""The doctor: explain a build, try what could make it smaller, and say what to write."""
