"""export: the source as ONNX."""
