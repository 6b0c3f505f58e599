#!/usr/bin/env bash
# litert-quantizer 0.11.0, ai-edge-litert 2.3.0; Python 3.11; 2026-11-29.
#
# Static int8 by calibration: one would expect the smallest and largest value that any sample had. Ten samples,
# nine within [-1, 1] and one within [-10, 10], should give a step of 20 / 255 = 0.078. litert-quantizer (once
# ai-edge-quantizer) keeps a moving average of each sample's range, 0.95 of what it has and 0.05 of the new:
# with the large sample last the step is 0.011, and values beyond 1.45 are clipped; with the same sample first
# it is 0.052. The same files in another order, a sorted folder or a shuffled one, make another model, and the
# rare large values are what it clips.
#
# Seen:
#   largest sample last: step 0.0114, first: 0.0523; of the whole range: 0.0784
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    litert-quantizer==0.11.0 ai-edge-litert==2.3.0 flatbuffers==25.2.10 numpy==2.1.3
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import contextlib

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as s
from ai_edge_litert.interpreter import Interpreter
from litert_quantizer import quantizer, recipe

SIGNATURE = "serving_default"


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
    at = [[made(s.TensorMapT, name=tensors[i].name, tensorIndex=i)] for i in (given[0], last)]
    model.signatureDefs = [made(s.SignatureDefT, signatureKey=SIGNATURE, inputs=at[0], outputs=at[1])]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


FLOAT, one = s.TensorType.FLOAT32, np.eye(8, dtype=np.float32)
tensors = [tensor("x", [1, 8], FLOAT, None, 0), tensor("w", [8, 8], FLOAT, None, 0, 1), tensor("y", [1, 8], FLOAT, None, 0)]
options = s.BuiltinOptions.FullyConnectedOptions
with open("model.tflite", "wb") as file:
    file.write(tflite(9, 1, tensors, [0, 1, -1], [one.tobytes()], s.FullyConnectedOptionsT(), options))


def step(samples):
    made_of = quantizer.Quantizer("model.tflite", recipe.static_wi8_ai8())
    ranges = made_of.calibrate({SIGNATURE: [{"x": sample} for sample in samples]})
    with contextlib.redirect_stdout(None):
        model = made_of.quantize(ranges).quantized_model
    return Interpreter(model_content=bytes(model)).get_input_details()[0]["quantization"][0]


small = np.linspace(-1, 1, 8, dtype=np.float32).reshape(1, 8)
last, first = step([small] * 9 + [10 * small]), step([10 * small] + [small] * 9)
print(f"largest sample last: step {last:.4f}, first: {first:.4f}; of the whole range: {20 / 255:.4f}")
assert abs(last - (0.95 * 2 + 0.05 * 20) / 255) < 1e-4
assert abs(first - (2 + 18 * 0.95**9) / 255) < 1e-3
END
