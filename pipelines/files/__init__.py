"""Files, paths, git and the terminal. Light: all of the front imports from here."""
