"""What makes a user's graph one that every tool here takes, exactly."""
