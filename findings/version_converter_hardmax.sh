#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# Softmax, LogSoftmax and Hardmax changed together in opset 13: before it they flattened all axes from `axis`
# on, since then they look at that axis alone. onnx's version converter writes Flatten and Reshape round Softmax
# and LogSoftmax, so that the numbers stay. Hardmax it only relabels: one 1 a picture becomes one 1 a column,
# silently.
#
# Seen:
#   sum of Softmax, opset 12 and 13: [1.0, 1.0] ['Shape', 'Flatten', 'Softmax', 'Reshape']
#   sum of Hardmax, opset 12 and 13: [1.0, 3.0] ['Hardmax']
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
from onnx import checker, parser, version_converter


def sums(operator):
    model = parser.parse_model(f"""<ir_version: 7, opset_import: ["" : 12]>
        g (float[1,2,3] x) => (float[1,2,3] y) {{ y = {operator} <axis = 1> (x) }}""")
    checker.check_model(model, full_check=True)
    given = {"x": np.arange(6, dtype=np.float32).reshape(1, 2, 3)}
    converted = version_converter.convert_version(model, 13)
    results = [
        float(onnxruntime.InferenceSession(m.SerializeToString()).run(None, given)[0].sum().round(4))
        for m in (model, converted)
    ]
    return results, [node.op_type for node in converted.graph.node]


(soft, made), (hard, relabelled) = sums("Softmax"), sums("Hardmax")
print("sum of Softmax, opset 12 and 13:", soft, made)
print("sum of Hardmax, opset 12 and 13:", hard, relabelled)
assert soft == [1, 1]
assert hard == [1, 3]
assert relabelled == ["Hardmax"]
END
