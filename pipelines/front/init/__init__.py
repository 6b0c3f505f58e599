"""`npumake init`: a repository of one's own, on the standard library alone."""
