#!/usr/bin/env bash
# onnxsim 0.8.1, onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# Conv gives [1, 2, 4, 4]; a Mul by a constant of shape [1, 1, 2, 1, 1] broadcasts that to five axes, [1, 1, 2,
# 4, 4], as a network does that goes on in 3-D. onnxsim folds the factors into the Conv's weights; the numbers
# are right, and the fifth axis is gone: [1, 2, 4, 4]. Its own check passes, and the graph still declares five
# axes for the output.
#
# Seen:
#   original   (1, 1, 2, 4, 4)
#   simplified (1, 2, 4, 4) declared [1, 1, 2, 4, 4] is_checked True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxsim==0.8.1 onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import onnxruntime
import onnxsim
from onnx import checker, parser

model = parser.parse_model("""<ir_version: 9, opset_import: ["" : 17]>
g (float[1,2,4,4] x) => (float[1,1,2,4,4] y)
<float[2,2,1,1] w = {1,0,0,1}, float[1,1,2,1,1] m = {2,3}> {
    c = Conv (x, w)
    y = Mul (c, m)
}""")
checker.check_model(model, full_check=True)
simplified, is_checked = onnxsim.simplify(model)
quiet = onnxruntime.SessionOptions()
quiet.log_severity_level = 4


def run(network):
    session = onnxruntime.InferenceSession(network.SerializeToString(), quiet)
    return session.run(None, {"x": np.ones((1, 2, 4, 4), np.float32)})[0]


before, after = run(model), run(simplified)
declared = [d.dim_value for d in simplified.graph.output[0].type.tensor_type.shape.dim]
print("original  ", before.shape)
print("simplified", after.shape, "declared", declared, "is_checked", is_checked)
assert before.shape == (1, 1, 2, 4, 4)
assert after.shape == (1, 2, 4, 4)
END
