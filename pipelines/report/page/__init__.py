"""Pages to look at: one self-contained HTML file a model, an index of them, and a comparison."""
