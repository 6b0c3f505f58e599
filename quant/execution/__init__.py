"""ONNX graphs, run in onnxruntime and compared."""
