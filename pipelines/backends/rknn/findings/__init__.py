"""Known causes of large, slow or inaccurate files: `bytes/` and `accuracy/`, one a module."""
