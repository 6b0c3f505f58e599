#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# LpNormalization with p = 1 divides by the sum of absolute values. onnx's ReferenceEvaluator divides by the
# sum: of [1, -2, 3, -4] that is -2, so every sign is turned and the result's absolute values add up to 5. Where
# the sum is 0, as of anything centred, it divides by 0. With p = 2, the default, it is right: the power takes
# the signs away.
#
# Seen:
#   p = 1: onnxruntime [0.1, -0.2, 0.3, -0.4]
#   p = 1: ReferenceEvaluator [-0.5, 1.0, -1.5, 2.0]
#   p = 2: onnxruntime [0.183, -0.365, 0.548, -0.73]
#   p = 2: ReferenceEvaluator [0.183, -0.365, 0.548, -0.73]
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

given = {"x": np.array([1, -2, 3, -4], np.float32)}
for p in (1, 2):
    model = parser.parse_model(f"""<ir_version: 9, opset_import: ["" : 17]> g (float[4] x) => (float[4] y)
        {{ y = LpNormalization <p = {p}, axis = 0> (x) }}""")
    checker.check_model(model, full_check=True)
    right = onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)[0].round(3).tolist()
    found = ReferenceEvaluator(model).run(None, given)[0].round(3).tolist()
    print(f"p = {p}: onnxruntime {[round(v, 3) for v in right]}")
    print(f"p = {p}: ReferenceEvaluator {[round(v, 3) for v in found]}")
    if p == 1:
        assert np.allclose(right, [0.1, -0.2, 0.3, -0.4])
        assert np.allclose(found, [-0.5, 1, -1.5, 2])
    else:
        assert np.allclose(right, found)
END
