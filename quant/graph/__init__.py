"""ONNX graphs, edited and read."""
