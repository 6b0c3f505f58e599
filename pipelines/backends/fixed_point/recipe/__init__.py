"""What a recipe says for fixed_point: keys, sweeps and checks."""
