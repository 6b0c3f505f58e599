"""What is known of a graph by looking at it."""
