"""What every backend measures its outputs with."""
