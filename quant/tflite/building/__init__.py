"""The ONNX graph in the making, and the layouts of its values."""
