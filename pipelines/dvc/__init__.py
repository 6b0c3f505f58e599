"""DVC's formats, cache and remotes."""
