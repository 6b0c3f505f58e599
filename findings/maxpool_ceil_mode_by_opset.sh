#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.32.0, openvino 2026.4.1; Python 3.11; 2026-11-29.
#
# MaxPool with ceil_mode = 1, kernel 2, stride 3 on 6 columns: the third window would begin at column 6, where
# nothing is. Up to opset 21 the specification counts it (3 columns), since 22 it does not (2). onnxruntime
# gives 2 at every opset, against the shapes that onnx infers; OpenVINO gives 3 at every opset, and fills the
# row and the column that hold nothing with -3.4e38, float32's lowest, which an int8 calibration takes for a
# range.
#
# So the converter that lifts 17 to 22 changes the shape of what it converts, and neither runtime notices.
#
# Seen:
#   opset 17: onnx infers 3 columns, onnxruntime 2, OpenVINO 3: [7.0, 10.0, -3.4e+38]
#   opset 22: onnx infers 2 columns, onnxruntime 2, OpenVINO 3: [7.0, 10.0, -3.4e+38]
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
from onnx import checker, parser, save, shape_inference

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def sizes(opset):
    model = parser.parse_model(f"""<ir_version: 9, opset_import: ["" : {opset}]> g (float[1,1,6,6] x)
        => (float[1,1,a,b] y) {{ y = MaxPool <kernel_shape = [2,2], strides = [3,3], ceil_mode = 1> (x) }}""")
    checker.check_model(model, full_check=True)
    save(model, "model.onnx")
    given = {"x": np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)}
    inferred = shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape.dim[3].dim_value
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    right = onnxruntime.InferenceSession("model.onnx", quiet).run(None, given)[0][0, 0]
    found = openvino.Core().compile_model("model.onnx", "CPU", EXACT)(given)[0][0, 0]
    print(f"opset {opset}: onnx infers {inferred} columns, onnxruntime {right.shape[1]},", end=" ")
    print(f"OpenVINO {found.shape[1]}: {[float(f'{v:.3g}') for v in found[0]]}")
    assert found[0, 2] == np.finfo(np.float32).min
    return inferred, right.shape[1], found.shape[1]


assert sizes(17) == (3, 2, 3)
assert sizes(22) == (2, 2, 3)
END
