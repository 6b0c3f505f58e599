#!/usr/bin/env bash
# onnxruntime 1.32.0, onnx 1.23.2; Python 3.11; 2026-11-29.
#
# A tensor is rounded to a coarse step, 1.0, and then to a fine one, 0.5: so a network says it that simulates a
# device whose first layer has few steps. onnxruntime's default optimizations take the two pairs of
# QuantizeLinear and DequantizeLinear for one and drop the coarse rounding: 0.6 comes out as 0.5, which the
# coarse step does not have. With optimizations off it is 1.0, as the graph says.
#
# So the accuracy that a session reports for a QDQ network is not the accuracy of its graph, and too good.
# `session.disable_double_qdq_remover` = 1 keeps the default session exact.
#
# Seen:
#   no optimizations            [0.0, 1.0, 1.0, 2.0]
#   default                     [0.0, 0.5, 1.5, 1.5]
#   default, pairs not removed  [0.0, 1.0, 1.0, 2.0]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import onnxruntime as ort
from onnx import checker, parser

model = parser.parse_model("""<ir_version: 9, opset_import: ["" : 17]> g (float[4] x) => (float[4] y)
<float coarse = {1.0}, float fine = {0.5}, uint8 z = {128}> {
    a = QuantizeLinear (x, coarse, z)
    b = DequantizeLinear (a, coarse, z)
    c = QuantizeLinear (b, fine, z)
    y = DequantizeLinear (c, fine, z)
}""")
checker.check_model(model, full_check=True)


def run(level="ORT_ENABLE_ALL", **entries):
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    for name, value in entries.items():
        options.add_session_config_entry(f"session.{name}", value)
    session = ort.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"x": np.array([0.1, 0.6, 1.4, 1.6], np.float32)})[0].tolist()


plain, default = run("ORT_DISABLE_ALL"), run()
kept = run(disable_double_qdq_remover="1")
print("no optimizations           ", plain)
print("default                    ", default)
print("default, pairs not removed ", kept)
assert plain == kept == [0, 1, 1, 2]
assert default == [0, 0.5, 1.5, 1.5]
END
