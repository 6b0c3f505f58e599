#!/usr/bin/env bash
# openvino 2026.4.1, onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# ONNX's LSTM has `input_forget = 1`: the forget gate is 1 minus the input gate, as in CIFG networks for speech.
# onnxruntime computes it. OpenVINO and onnx's ReferenceEvaluator read the network, say nothing, and give bit
# for bit what input_forget = 0 gives. The shapes and the number of weights are the same either way, so nothing
# but the numbers shows it.
#
# Seen:
#   onnxruntime        [-0.17730000615119934, 0.058400001376867294, -0.46959999203681946], as with input_forget = 0: False
#   ReferenceEvaluator [-0.008899999782443047, 0.019200000911951065, -0.23690000176429749], as with input_forget = 0: True
#   OpenVINO           [-0.008899999782443047, 0.019200000911951065, -0.23690000176429749], as with input_forget = 0: True
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
from onnx import checker, numpy_helper, parser, save
from onnx.reference import ReferenceEvaluator

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
random = np.random.default_rng(0)
weights = {"w": random.normal(0, 1, (1, 12, 4)), "r": random.normal(0, 1, (1, 12, 3))}
given = {"x": random.normal(0, 1, (5, 1, 4)).astype(np.float32)}


def last_state(coupled):
    model = parser.parse_model(f"""<ir_version: 9, opset_import: ["" : 17]>
        g (float[5,1,4] x) => (float[1,1,3] h) {{
        y, h = LSTM <hidden_size = 3, input_forget = {coupled}> (x, w, r) }}""")
    for name, value in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    checker.check_model(model, full_check=True)
    save(model, "model.onnx")
    return {
        "onnxruntime": onnxruntime.InferenceSession("model.onnx").run(None, given)[0],
        "ReferenceEvaluator": ReferenceEvaluator(model).run(None, given)[0],
        "OpenVINO": openvino.Core().compile_model("model.onnx", "CPU", EXACT)(given)[0],
    }


without, coupled = last_state(0), last_state(1)
for name, state in coupled.items():
    same = bool((state == without[name]).all())
    print(f"{name:18} {state.ravel().round(4).tolist()}, as with input_forget = 0: {same}")
    assert np.allclose(without[name], without["onnxruntime"], atol=1e-5)
    assert same == (name != "onnxruntime")
END
