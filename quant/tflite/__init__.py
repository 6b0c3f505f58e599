"""Float TFLite files read into ONNX, channels first, without tensorflow."""
