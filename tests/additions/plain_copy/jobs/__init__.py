"""Jobs of the backend plain_copy."""
