"""Plain data that all above share: steps, facts, digests, and what earlier runs noted."""
