"""rknn-toolkit2's int8 simulator, computed by ourselves from what its step 1 wrote.

parameters: step 1's .quantization.cfg. weights: constants as the simulator holds them. rounding:
which tensors it rounds. host_operators: what it computes in numpy. parts: everything between those
in ONNX. network: all of it run, beside the float network and layer by layer.

The simulator runs one operator after the other in onnxruntime, without graph optimization, on
float32 values that lie on the grid of an int8 tensor. So does this; what it does not know is
Unknown, with a reason.
"""
