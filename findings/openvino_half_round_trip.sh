#!/usr/bin/env bash
# openvino 2026.4.1, onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# Cast to float16 and back to float32 is how an ONNX graph says "rounded to half here": networks that simulate a
# float16 device have it, and mixed-precision exports at every border. OpenVINO drops the pair, also with the
# execution mode ACCURACY and the precision hint f32: 0.1 keeps all its digits, 1e6 stays 1e6 where half has
# only inf. onnxruntime with its default optimizations keeps it. A Cast to int32 and back is kept by both.
#
# Seen:
#   given                          [0.10000000149011612, 2049.0, 1000000.0]
#   float16 and back, onnxruntime  [0.0999755859375, 2048.0, inf]
#   float16 and back, OpenVINO     [0.10000000149011612, 2049.0, 1000000.0]
#   int32 and back, both           [0.0, 2049.0, 1000000.0]
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
from onnx import TensorProto, checker, parser, save

given = {"x": np.array([0.1, 2049, 1e6], np.float32)}


def through(kind):
    model = parser.parse_model(f"""<ir_version: 9, opset_import: ["" : 17]>
        g (float[3] x) => (float[3] y) {{ h = Cast <to = {kind}> (x) y = Cast <to = 1> (h) }}""")
    checker.check_model(model, full_check=True)
    save(model, "model.onnx")
    exact = {"EXECUTION_MODE_HINT": "ACCURACY", "INFERENCE_PRECISION_HINT": "f32"}
    right = onnxruntime.InferenceSession("model.onnx").run(None, given)[0]
    found = openvino.Core().compile_model("model.onnx", "CPU", exact)(given)[0]
    return right.tolist(), found.tolist()


half, whole = through(TensorProto.FLOAT16), through(TensorProto.INT32)
print("given                         ", given["x"].tolist())
print("float16 and back, onnxruntime ", half[0])
print("float16 and back, OpenVINO    ", half[1])
print("int32 and back, both          ", whole[1])
assert half[0] == np.array([0.1, 2049, np.inf]).astype(np.float16).tolist()
assert half[1] == given["x"].tolist()
assert whole[0] == whole[1] == [0, 2049, 1e6]
END
