"""The plan, the one answer to what is stale, and the builder."""
