"""Numbers and graphs: no pipelines, no vendor SDK."""
