#!/usr/bin/env bash
# onnxslim 0.1.98, onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# A network's second input counts for its shape alone: a feature map is resized to that of another, whose size
# is fixed. onnxslim computes the shape, and takes the input, which nothing reads any more, out of the graph.
# The slimmed network refuses what the original was fed (`Invalid input name`), and a list of calibration files
# with two columns no longer fits it. onnxsim 0.8.1 makes the same constants and keeps the input.
#
# Seen:
#   original inputs ['x', 'like']
#   slimmed inputs  ['x']
#   fed as before:  [ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Invalid input name: like
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxslim==0.1.98 onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import onnxruntime
import onnxslim
from onnx import checker, parser

model = parser.parse_model("""<ir_version: 9, opset_import: ["" : 17]>
g (float[1,1,2,2] x, float[1,1,4,4] like) => (float[1,1,4,4] y) <float[0] none = {}> {
    size = Shape (like)
    y = Resize <mode = "nearest"> (x, none, none, size)
}""")
checker.check_model(model, full_check=True)
given = {"x": np.ones((1, 1, 2, 2), np.float32), "like": np.ones((1, 1, 4, 4), np.float32)}
print("original inputs", [value.name for value in model.graph.input])
assert onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)[0].shape == (1, 1, 4, 4)
slimmed = onnxslim.slim(model)
print("slimmed inputs ", [value.name for value in slimmed.graph.input])
try:
    onnxruntime.InferenceSession(slimmed.SerializeToString()).run(None, given)
except Exception as error:
    print("fed as before: ", str(error)[:80])
    assert "Invalid input name" in str(error)
else:
    raise SystemExit("it took both")
END
