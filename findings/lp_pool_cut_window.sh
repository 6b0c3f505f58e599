#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.32.0, openvino 2026.4.1; Python 3.11; 2026-11-29.
#
# LpPool with p = 2 is the root of a window's sum of squares. With ceil_mode = 1 the last window of 6 columns
# (kernel 3, stride 2) holds 2 columns: of ones, sqrt(6) = 2.449 at the right edge and 2 in the corner.
# onnxruntime says so. OpenVINO and the ReferenceEvaluator say 3 everywhere, which is what an average of what is
# there, times the whole kernel's 9, comes to. No reader warns.
#
# Seen:
#   onnxruntime        first row [3.0, 3.0, 2.449], corner 2.0
#   ReferenceEvaluator first row [3.0, 3.0, 3.0], corner 3.0
#   OpenVINO           first row [3.0, 3.0, 3.0], corner 3.0
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
model = parser.parse_model("""<ir_version: 9, opset_import: ["" : 18]> g (float[1,1,6,6] x)
=> (float[1,1,3,3] y) { y = LpPool <p = 2, kernel_shape = [3,3], strides = [2,2], ceil_mode = 1> (x) }""")
checker.check_model(model, full_check=True)
save(model, "model.onnx")
given = {"x": np.ones((1, 1, 6, 6), np.float32)}
found = {
    "onnxruntime": onnxruntime.InferenceSession("model.onnx").run(None, given)[0],
    "ReferenceEvaluator": ReferenceEvaluator(model).run(None, given)[0],
    "OpenVINO": openvino.Core().compile_model("model.onnx", "CPU", EXACT)(given)[0],
}
found = {name: y[0, 0].round(3).tolist() for name, y in found.items()}
for name, rows in found.items():
    print(f"{name:18} first row {[round(v, 3) for v in rows[0]]}, corner {rows[2][2]}")
assert np.allclose(found["onnxruntime"][0], [3, 3, 6**0.5], atol=1e-3)
assert found["onnxruntime"][2][2] == 2
for name in ("ReferenceEvaluator", "OpenVINO"):
    assert np.allclose(found[name], 3)
END
