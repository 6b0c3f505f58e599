#!/usr/bin/env bash
# openvino 2026.4.1, onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# ONNX's Resize has two attributes that change the weights of a pixel's neighbours: antialias (opset 18), which
# widens the filter where a picture shrinks, and exclude_outside, which leaves neighbours beyond the border out.
# OpenVINO reads a network with either, says nothing, and computes as if it were 0. A picture that is shrunk
# inside the network is then sampled, and a bright column at an odd place vanishes, as here at a factor of 4.
#
# Seen:
#   antialias = 1, onnxruntime [1.25, 0.75]
#   antialias = 1, OpenVINO    [0.0, 0.0]; onnxruntime with 0: [0.0, 0.0]
#   exclude_outside = 1, onnxruntime [9.09, 6.36, 2.02, -0.84, -0.28, 0.0, 0.0, 0.0]
#   exclude_outside = 1, OpenVINO    [8.84, 6.19, 1.81, -0.84, -0.28, 0.0, 0.0, 0.0]; onnxruntime with 0: [8.84, 6.19, 1.81, -0.84, -0.28, 0.0, 0.0, 0.0]
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
from onnx import checker, parser, save

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def resize(attributes, scale, pixels):
    model = parser.parse_model(f"""<ir_version: 9, opset_import: ["" : 18]>
        g (float[1,1,1,{len(pixels)}] x) => (float[1,1,1,n] y)
        <float[0] roi = {{}}, float[4] scales = {{1,1,1,{scale}}}> {{
        y = Resize <{attributes}> (x, roi, scales) }}""")
    checker.check_model(model, full_check=True)
    save(model, "model.onnx")
    given = {"x": np.array(pixels, np.float32).reshape(1, 1, 1, -1)}
    right = onnxruntime.InferenceSession("model.onnx").run(None, given)[0].ravel().astype(float).round(2).tolist()
    found = openvino.Core().compile_model("model.onnx", "CPU", EXACT)(given)[0].ravel().astype(float).round(2).tolist()
    return right, found


for kind, attribute, scale, pixels in (
    ("linear", "antialias", 0.25, [0, 0, 0, 8, 0, 0, 0, 0]),
    ("cubic", "exclude_outside", 2.0, [8, 0, 0, 0]),
):
    right, found = resize(f'mode = "{kind}", {attribute} = 1', scale, pixels)
    without = resize(f'mode = "{kind}", {attribute} = 0', scale, pixels)[0]
    print(f"{attribute} = 1, onnxruntime {right}")
    print(f"{attribute} = 1, OpenVINO    {found}; onnxruntime with 0: {without}")
    assert found == without != right
END
