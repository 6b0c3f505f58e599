"""Cross-layer equalization: channels of one layer get like magnitudes, exactly."""
