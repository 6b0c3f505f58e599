#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# LRN, of AlexNet, GoogLeNet and the small networks that still ship on boards. onnx's ReferenceEvaluator counts
# the sum of squares for as many channels as there are *samples* in the batch: with a batch of 1 the first
# channel is normalized and the others come out as they went in (bias is 1 here). With a batch at least as large
# as the channels it is right.
#
# Seen:
#   batch 1: onnxruntime [0.5, 0.4, 0.3, 0.235], reference [0.5, 2.0, 3.0, 4.0]
#   batch 4: onnxruntime [0.5, 0.4, 0.3, 0.235], reference [0.5, 0.4, 0.3, 0.235]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import onnxruntime
from onnx import checker, parser
from onnx.reference import ReferenceEvaluator


def plain(values):
    return values.astype(float).round(3).tolist()


model = parser.parse_model("""<ir_version: 9, opset_import: ["" : 17]> g (float[n,4,1,1] x)
=> (float[n,4,1,1] y) { y = LRN <size = 1, alpha = 1.0, beta = 1.0, bias = 1.0> (x) }""")
checker.check_model(model, full_check=True)
session, reference = onnxruntime.InferenceSession(model.SerializeToString()), ReferenceEvaluator(model)
values = np.array([1, 2, 3, 4], np.float32)
for batch in (1, 4):
    given = {"x": np.tile(values.reshape(1, 4, 1, 1), (batch, 1, 1, 1))}
    right, found = (runner.run(None, given)[0][0].ravel() for runner in (session, reference))
    print(f"batch {batch}: onnxruntime {plain(right)}, reference {plain(found)}")
    assert np.allclose(right, values / (1 + values**2))
    assert np.allclose(found[0], right[0])
    assert np.allclose(found[1:], values[1:] if batch == 1 else right[1:])
END
