"""./doit tune: which few layers of a quantized network to compute in float16."""
