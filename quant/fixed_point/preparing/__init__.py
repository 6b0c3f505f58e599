"""What makes a float graph ready for lowering: one kind of rewrite a file. See `prepare`."""
