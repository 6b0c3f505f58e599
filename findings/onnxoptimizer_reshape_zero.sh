#!/usr/bin/env bash
# onnxoptimizer 0.4.2, onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# Two Reshapes in a row are one, if the second stands alone: so onnxoptimizer drops the first. But a 0 in a
# Reshape's shape means "as the input has it on this axis", and that input is now another tensor. Here [2, 3, 4]
# -> [6, 4] -> [0, -1] gives [6, 4]; optimized it gives [2, 12]: the same numbers in another shape, batch and
# all, which most of what follows will take without a word.
#
# onnxsim 0.8.1 and onnxslim 0.1.98 keep [6, 4].
#
# Seen:
#   original:  2 Reshapes -> (6, 4)
#   optimized: 2 Reshape  -> (2, 12)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxoptimizer==0.4.2 onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import onnxoptimizer
import onnxruntime
from onnx import checker, parser

model = parser.parse_model("""<ir_version: 9, opset_import: ["" : 17]>
g (float[2,3,4] x) => (float[a,b] y) <int64[2] first = {6,4}, int64[2] second = {0,-1}> {
    r = Reshape (x, first)
    y = Reshape (r, second)
}""")
checker.check_model(model, full_check=True)


def shape(network):
    session = onnxruntime.InferenceSession(network.SerializeToString())
    return session.run(None, {"x": np.ones((2, 3, 4), np.float32)})[0].shape


optimized = onnxoptimizer.optimize(model, ["eliminate_consecutive_idempotent_ops"])
print("original: ", len(model.graph.node), "Reshapes ->", shape(model))
print("optimized:", len(optimized.graph.node), "Reshape  ->", shape(optimized))
assert shape(model) == (6, 4)
assert shape(optimized) == (2, 12)
END
