#!/usr/bin/env bash
# onnxslim 0.1.98, onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# Conv, then Mul with a constant of shape [4], where the output is [1, 4, 4, 4]: ONNX broadcasts from the right,
# so the factor belongs to a column of the picture. onnxslim takes it for one factor a channel, because there
# are as many channels as columns, and folds it into the Conv's weights. No message; the numbers are wrong.
#
# A Conv followed by a per-column window does occur in audio, where the last axis is time or frequency. onnxsim
# 0.8.1 and onnxoptimizer 0.4.2 leave this Mul alone.
#
# Seen:
#   original: of channels [1.0, 1.0, 1.0, 1.0] of columns [1.0, 2.0, 3.0, 4.0]
#   slimmed:  of channels [1.0, 2.0, 3.0, 4.0] of columns [1.0, 1.0, 1.0, 1.0]
#   nodes left: ['Conv']
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
g (float[1,4,4,4] x) => (float[1,4,4,4] y)
<float[4,4,1,1] w = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1}, float[4] m = {1,2,3,4}> {
    c = Conv (x, w)
    y = Mul (c, m)
}""")
checker.check_model(model, full_check=True)


def channels_and_columns(network):
    session = onnxruntime.InferenceSession(network.SerializeToString())
    y = session.run(None, {"x": np.ones((1, 4, 4, 4), np.float32)})[0][0]
    return y[:, 0, 0].tolist(), y[0, 0].tolist()


slimmed = onnxslim.slim(model)
before, after = channels_and_columns(model), channels_and_columns(slimmed)
print("original: of channels", before[0], "of columns", before[1])
print("slimmed:  of channels", after[0], "of columns", after[1])
print("nodes left:", [node.op_type for node in slimmed.graph.node])
assert before == ([1, 1, 1, 1], [1, 2, 3, 4])
assert after == ([1, 2, 3, 4], [1, 1, 1, 1])
END
