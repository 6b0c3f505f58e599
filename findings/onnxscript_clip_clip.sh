#!/usr/bin/env bash
# onnxscript 0.7.2, onnx-ir 1.1.0, onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# onnxscript's optimizer, which torch's exporter runs on what it made, fuses Clip(Clip(x)) and Relu(Clip(x)). It
# takes the larger of the lower bounds and the smaller of the upper ones, as for an intersection of intervals.
# Where the two do not overlap that is wrong: Clip(-2, -1) then Relu is 0 for every x, and becomes Clip(0, -1),
# whose lower bound is above its upper one; ONNX then gives the upper one, -1. Right would be to clip the inner
# bounds by the outer ones.
#
# Rare in a trained network, common in a quantized or generated one: a saturation next to an activation.
#
# Seen:
#   Clip(-2, -1), Relu (a): [0.0, 0.0, 0.0]; optimized: Clip [0.0, -1.0]: [-1.0, -1.0, -1.0]
#   Clip(-2, -1), Clip (a, zero, one): [0.0, 0.0, 0.0]; optimized: Clip [0.0, -1.0]: [-1.0, -1.0, -1.0]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxscript==0.7.2 onnx-ir==1.1.0 onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import onnxruntime
import onnxscript.optimizer
from onnx import checker, numpy_helper, parser


def network(last):
    text = """<ir_version: 9, opset_import: ["" : 18]> g (float[3] x) => (float[3] y)
        <float low = {-2.0}, float high = {-1.0}, float zero = {0.0}, float one = {1.0}> {
        a = Clip (x, low, high)
        y = %s
    }"""
    model = parser.parse_model(text % last)
    checker.check_model(model, full_check=True)
    return model


def run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": np.array([-3, 0, 3], np.float32)})[0].tolist()


for last in ("Relu (a)", "Clip (a, zero, one)"):
    model = network(last)
    optimized = onnxscript.optimizer.optimize(model)
    node = optimized.graph.node[-1]
    bounds = [numpy_helper.to_array(t).item() for t in optimized.graph.initializer if t.name in node.input]
    print(f"Clip(-2, -1), {last}: {run(model)}; optimized: {node.op_type} {bounds}: {run(optimized)}")
    assert run(model) == [0, 0, 0]
    assert run(optimized) == [-1, -1, -1]
END
