#!/usr/bin/env bash
# tflite-micro 0.dev20261023182759, ai-edge-litert 2.3.0; Python 3.11; 2026-11-29.
#
# An int8 RELU6 whose input has step 0.05 and whose output has 0.06, as a range that was measured after the clip
# has it. LiteRT requantizes: the code 100 (real 5) becomes 83. TFLite Micro clips the codes and copies them, by
# the input's step: 100 stays 100, which now means 6. No error at preparation or after. Its RELU requantizes
# rightly, so does its LEAKY_RELU; a converter that fuses RELU6 into the Conv before it hides this, a stand-
# alone RELU6 (after an Add or a Concat) does not.
#
# Seen:
#   codes given, step 0.05  [-40, 0, 40, 100, 120]
#   RELU  step 0.06, LiteRT [0, 0, 33, 83, 100], TFLite Micro [0, 0, 33, 83, 100]
#   RELU6 step 0.06, LiteRT [0, 0, 33, 83, 100], TFLite Micro [0, 0, 40, 100, 120]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    tflite-micro==0.dev20261023182759 ai-edge-litert==2.3.0 flatbuffers==25.2.10 numpy==2.1.3
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as s
from ai_edge_litert.interpreter import Interpreter
from tflite_micro import runtime


def made(kind, **values):
    """One of the schema's objects, with its fields."""
    it = kind()
    for name, value in values.items():
        setattr(it, name, value)
    return it


def tensor(name, shape, kind, scale, zero, buffer=0):
    grid = made(s.QuantizationParametersT, scale=[scale], zeroPoint=[zero]) if scale else None
    return made(s.TensorT, name=name, shape=shape, type=kind, buffer=buffer, quantization=grid)


def tflite(code, version, tensors, inputs, constants, options=None, options_type=0):
    """A network of one operator, whose output is the last tensor."""
    last = len(tensors) - 1
    used = made(s.OperatorCodeT, builtinCode=code, deprecatedBuiltinCode=code, version=version)
    operator = made(s.OperatorT, inputs=inputs, outputs=[last], builtinOptions=options)
    operator.builtinOptionsType = options_type
    given = [i for i in inputs if i >= 0 and not tensors[i].buffer]
    graph = made(s.SubGraphT, tensors=tensors, operators=[operator], inputs=given, outputs=[last])
    buffers = [s.BufferT(), *(made(s.BufferT, data=np.frombuffer(held, np.uint8)) for held in constants)]
    model = made(s.ModelT, version=3, operatorCodes=[used], subgraphs=[graph], buffers=buffers)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def both(code):
    tensors = [tensor("x", [1, 5], s.TensorType.INT8, 0.05, 0), tensor("y", [1, 5], s.TensorType.INT8, 0.06, 0)]
    model = tflite(code, 2, tensors, [0], [])
    reader = Interpreter(model_content=model)
    reader.allocate_tensors()
    reader.set_tensor(0, given)
    reader.invoke()
    micro = runtime.Interpreter.from_bytes(model)
    micro.set_input(given, 0)
    micro.invoke()
    return reader.get_tensor(1)[0].tolist(), micro.get_output(0)[0].tolist()


given = np.array([[-40, 0, 40, 100, 120]], np.int8)
print("codes given, step 0.05 ", given[0].tolist())
for name in ("RELU", "RELU6"):
    lite, micro = both(getattr(s.BuiltinOperator, name))
    print(f"{name:5} step 0.06, LiteRT {lite}, TFLite Micro {micro}")
    assert lite == [0, 0, 33, 83, 100]
    assert micro == (lite if name == "RELU" else [0, 0, 40, 100, 120])
END
