#!/usr/bin/env bash
# onnxruntime 1.32.0, onnx 1.23.2, openvino 2026.4.1; Python 3.11; 2026-11-29.
#
# auto_pad = SAME_UPPER means that the output is as large as the input divided by the stride, whatever the
# kernel. onnxruntime's MaxPool with dilations computes the padding as if the kernel were not dilated: 6 x 6
# becomes 4 x 4. onnx's shape inference, its ReferenceEvaluator and OpenVINO give 6 x 6, and onnxruntime itself
# refuses a Conv with the same two attributes. All that it says is a warning about the shape, which many logs
# are set not to show.
#
# Seen:
#   MaxPool {'onnxruntime': (4, 4), 'ReferenceEvaluator': (6, 6), 'OpenVINO': (6, 6)}
#   Conv, onnxruntime: Dilation not supported for AutoPadType::SAME_UPPER or AutoPadType::SAME_LOWER.
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
from onnx.reference import ReferenceEvaluator

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}

given = {"x": np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)}
quiet = onnxruntime.SessionOptions()
quiet.log_severity_level = 4


def save_model(operator, inputs, unused=""):
    model = parser.parse_model(f"""<ir_version: 9, opset_import: ["" : 17]> g (float[1,1,6,6] x)
        => (float[1,1,a,b] y) {unused} {{
        y = {operator} <kernel_shape = [3,3], dilations = [2,2], auto_pad = "SAME_UPPER"> {inputs} }}""")
    checker.check_model(model, full_check=True)
    save(model, "model.onnx")
    return model


model = save_model("MaxPool", "(x)")
shapes = {
    "onnxruntime": onnxruntime.InferenceSession("model.onnx", quiet).run(None, given)[0].shape[2:],
    "ReferenceEvaluator": ReferenceEvaluator(model).run(None, given)[0].shape[2:],
    "OpenVINO": openvino.Core().compile_model("model.onnx", "CPU", EXACT)(given)[0].shape[2:],
}
print("MaxPool", shapes)
assert shapes == {"onnxruntime": (4, 4), "ReferenceEvaluator": (6, 6), "OpenVINO": (6, 6)}
save_model("Conv", "(x, w)", "<float[1,1,3,3] w = {1,1,1,1,1,1,1,1,1}>")
try:
    onnxruntime.InferenceSession("model.onnx", quiet).run(None, given)
except Exception as error:
    print("Conv, onnxruntime:", str(error).split("Status Message: ")[1])
    assert "Dilation not supported" in str(error)
else:
    raise SystemExit("the Conv ran")
END
