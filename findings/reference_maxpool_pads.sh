#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# `pads` of a MaxPool are [top, left, bottom, right]. onnx's ReferenceEvaluator reads them as [top, bottom,
# left, right]: with pads = [0, 0, 1, 1], which TensorFlow's SAME leaves of a stride of 2 on even sizes, a 6 x 6
# picture becomes 4 x 6 in place of 5 x 5. Symmetric pads hide it, and its AveragePool has it right. So the
# reference is no judge of a MaxPool that came from TFLite; onnx's own shape inference contradicts it.
#
# Seen:
#   MaxPool     {'inferred': [1, 1, 5, 5], 'onnxruntime': (1, 1, 5, 5), 'ReferenceEvaluator': (1, 1, 4, 6)}
#   AveragePool {'inferred': [1, 1, 5, 5], 'onnxruntime': (1, 1, 5, 5), 'ReferenceEvaluator': (1, 1, 5, 5)}
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
from onnx import checker, parser, shape_inference
from onnx.reference import ReferenceEvaluator


def shapes(operator):
    model = parser.parse_model(f"""<ir_version: 9, opset_import: ["" : 17]> g (float[1,1,6,6] x)
        => (float[1,1,a,b] y) {{ y = {operator} <kernel_shape = [3,3], pads = [0,0,1,1]> (x) }}""")
    checker.check_model(model, full_check=True)
    given = {"x": np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)}
    dims = shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape.dim
    return {
        "inferred": [d.dim_value or d.dim_param for d in dims],
        "onnxruntime": onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)[0].shape,
        "ReferenceEvaluator": ReferenceEvaluator(model).run(None, given)[0].shape,
    }


largest, average = shapes("MaxPool"), shapes("AveragePool")
print("MaxPool    ", largest)
print("AveragePool", average)
assert largest["onnxruntime"] == (1, 1, 5, 5)
assert largest["ReferenceEvaluator"] == (1, 1, 4, 6)
assert average["ReferenceEvaluator"] == (1, 1, 5, 5)
END
