"""Reports on a build: errors of layers and outputs, and what the SDK said."""
