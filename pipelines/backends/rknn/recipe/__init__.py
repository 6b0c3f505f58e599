"""What a recipe says for rknn: keys, checks, and what the vendor's SDK accepts."""
