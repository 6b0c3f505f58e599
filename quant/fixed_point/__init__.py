"""Fixed-point int8: a float ONNX graph becomes integer operations, and those ONNX and TFLite files.

`lower` makes a `network.Network` of a float graph; `reference` defines what it computes; `to_onnx`
and `to_tflite` write it. Tensors hold whole numbers; the real value is whole number / scale.
"""
