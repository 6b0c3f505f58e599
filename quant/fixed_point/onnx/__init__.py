"""An integer network as an ONNX file."""
