#!/usr/bin/env bash
# onnxruntime 1.32.0, onnx 1.23.2, openvino 2026.4.1; Python 3.11; 2026-11-29.
#
# RoiAlign with mode = "max" on a picture of ones gives 0.49. ONNX's max mode does not take the largest of the
# interpolated samples: it takes the largest *weighted corner*, pixel times bilinear weight, so the result
# depends on where the box lies inside a pixel and is smaller than every pixel under it. onnxruntime and the
# ReferenceEvaluator agree on it; OpenVINO interpolates first and gives 1. `mode = "avg"` is 1 everywhere.
# onnxruntime warns, still in 1.32, that this is to be mended "in the next ORT 1.13 release".
#
# Seen:
#   max {'onnxruntime': 0.49, 'ReferenceEvaluator': 0.49, 'OpenVINO': 1.0}
#   avg {'onnxruntime': 1.0, 'ReferenceEvaluator': 1.0, 'OpenVINO': 1.0}
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


def roi_align(mode):
    model = parser.parse_model(f"""<ir_version: 9, opset_import: ["" : 16]>
        g (float[1,1,6,6] x) => (float[1,1,1,1] y)
        <float[1,4] box = {{0.8,0.8,4.8,4.8}}, int64[1] batch = {{0}}> {{
        y = RoiAlign <mode = "{mode}", output_height = 1, output_width = 1, sampling_ratio = 2>
            (x, box, batch) }}""")
    checker.check_model(model, full_check=True)
    save(model, "model.onnx")
    given = {"x": np.ones((1, 1, 6, 6), np.float32)}
    found = {
        "onnxruntime": onnxruntime.InferenceSession("model.onnx").run(None, given)[0],
        "ReferenceEvaluator": ReferenceEvaluator(model).run(None, given)[0],
        "OpenVINO": openvino.Core().compile_model("model.onnx", "CPU", EXACT)(given)[0],
    }
    return {name: round(float(y.ravel()[0]), 4) for name, y in found.items()}


largest, average = roi_align("max"), roi_align("avg")
print("max", largest)
print("avg", average)
assert largest == {"onnxruntime": 0.49, "ReferenceEvaluator": 0.49, "OpenVINO": 1.0}
assert set(average.values()) == {1.0}
END
