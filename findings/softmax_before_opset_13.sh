#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.32.0, openvino 2026.4.1; Python 3.11; 2026-11-29.
#
# Before opset 13, Softmax with axis=1 flattens all axes from 1 on and makes their sum 1. Of [1, 2, 2] zeros
# that is 0.25 each. onnxruntime does so. onnx's own ReferenceEvaluator and OpenVINO normalize the one axis at
# every opset: 0.5 each. None of them says anything, so what compares an old network in two runtimes finds a
# quantization or import error that is none.
#
# Seen:
#   opset 11 {'onnxruntime': 0.25, 'ReferenceEvaluator': 0.5, 'OpenVINO': 0.5}
#   opset 13 {'onnxruntime': 0.5, 'ReferenceEvaluator': 0.5, 'OpenVINO': 0.5}
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
from onnx.reference import ReferenceEvaluator

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def softmax(opset):
    model = parser.parse_model(f"""<ir_version: 7, opset_import: ["" : {opset}]>
        g (float[1,2,2] x) => (float[1,2,2] y) {{ y = Softmax <axis = 1> (x) }}""")
    checker.check_model(model, full_check=True)
    given = {"x": np.zeros((1, 2, 2), np.float32)}
    save(model, "model.onnx")
    compiled = openvino.Core().compile_model("model.onnx", "CPU", EXACT)
    found = {
        "onnxruntime": onnxruntime.InferenceSession("model.onnx").run(None, given)[0],
        "ReferenceEvaluator": ReferenceEvaluator(model).run(None, given)[0],
        "OpenVINO": compiled(given)[0],
    }
    return {name: float(y.ravel()[0]) for name, y in found.items()}


old, new = softmax(11), softmax(13)
print("opset 11", old)
print("opset 13", new)
assert old == {"onnxruntime": 0.25, "ReferenceEvaluator": 0.5, "OpenVINO": 0.5}
assert set(new.values()) == {0.5}
END
