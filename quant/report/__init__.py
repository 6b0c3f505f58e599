"""Numbers about a build: errors, metrics and bytes."""
