#!/usr/bin/env bash
# openvino 2026.4.1, onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# Until opset 17 the Reduce operators have their axes as an attribute, since 18 as an input. OpenVINO reads both
# for ReduceSum, ReduceL2 and the others that were tried, but for ReduceLogSum and ReduceLogSumExp it does not
# read the attribute, reduces over all axes, and gives a tensor of another shape: [1, 1] in place of [2, 1].
# Nothing is said. A log-sum-exp over the classes, as CTC and calibrated heads have it, mixes the whole batch.
#
# Seen:
#   opset 17 ReduceLogSum     onnxruntime [[1.099], [1.099]] OpenVINO [[1.792]]
#   opset 18 ReduceLogSum     onnxruntime [[1.099], [1.099]] OpenVINO [[1.099], [1.099]]
#   opset 17 ReduceLogSumExp  onnxruntime [[2.099], [2.099]] OpenVINO [[2.792]]
#   opset 18 ReduceLogSumExp  onnxruntime [[2.099], [2.099]] OpenVINO [[2.099], [2.099]]
#   opset 17 ReduceL2         onnxruntime [[1.732], [1.732]] OpenVINO [[1.732], [1.732]]
#   opset 17 ReduceSumSquare  onnxruntime [[3.0], [3.0]] OpenVINO [[3.0], [3.0]]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import onnxruntime
import openvino
from onnx import checker, parser, save

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def plain(values):
    return values.astype(float).round(3).tolist()


def reduce(operator, opset):
    axes = ("<axes = [1]> (x)", "(x, axes)")[opset >= 18]
    model = parser.parse_model(f"""<ir_version: 8, opset_import: ["" : {opset}]>
        g (float[2,3] x) => (float[2,1] y) <int64[1] axes = {{1}}> {{ y = {operator} {axes} }}""")
    checker.check_model(model, full_check=True)
    save(model, "model.onnx")
    given = {"x": np.ones((2, 3), np.float32)}
    right = onnxruntime.InferenceSession("model.onnx").run(None, given)[0]
    found = openvino.Core().compile_model("model.onnx", "CPU", EXACT)(given)[0]
    print(f"opset {opset} {operator:16} onnxruntime {plain(right)} OpenVINO {plain(found)}")
    return right.shape, found.shape


for operator in ("ReduceLogSum", "ReduceLogSumExp"):
    assert reduce(operator, 17) == ((2, 1), (1, 1))
    assert reduce(operator, 18) == ((2, 1), (2, 1))
for operator in ("ReduceL2", "ReduceSumSquare"):
    assert reduce(operator, 17) == ((2, 1), (2, 1))
END
