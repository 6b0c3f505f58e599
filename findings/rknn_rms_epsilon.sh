#!/usr/bin/env bash
# rknn-toolkit2 2.5.0, target rk3588, its simulator on x86-64; Python 3.11; 2026-11-29.
#
# x / sqrt(mean(x * x)), without an epsilon: every row comes out with a root mean square of 1, however small.
# The SDK takes the four nodes for an RMSNorm, whose epsilon it sets to 1e-5 since the graph has none. Rows of
# 0.01 come out as 0.95, rows of 0.001 as 0.30, exactly v / sqrt(v * v + 1e-5); float16, no quantization.
# Features of quiet audio or of a normalized embedding are that small.
#
# Seen:
#   rows of 1.0: onnxruntime 1.0000, rknn 1.0000
#   rows of 0.1: onnxruntime 1.0000, rknn 0.9995
#   rows of 0.01: onnxruntime 1.0000, rknn 0.9536
#   rows of 0.001: onnxruntime 1.0000, rknn 0.3015
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    rknn-toolkit2==2.5.0 onnx==1.18.0 onnxruntime==1.23.2 numpy==1.26.4 scipy==1.15.2 \
    protobuf==4.25.4 opencv-python==4.11.0.86 fast-histogram==0.14 ruamel.yaml==0.19.1 \
    psutil==7.2.2 tqdm==4.70.1 setuptools==80.0.1 flatbuffers==25.12.19 sympy==1.14.0 \
    mpmath==1.3.0 coloredlogs==15.0.1 humanfriendly==10.0 packaging==26.3 \
    typing-extensions==4.16.0
# The SDK imports torch, and asks nothing of it here: a stand-in spares its gigabytes.
mkdir "$folder/torch"
cat > "$folder/torch/__init__.py" <<'END'
import sys, types
__version__, no_grad, nn = "2.4.0", lambda: lambda f: f, types.ModuleType("torch.nn")
nn.Module, nn.functional = object, types.ModuleType("torch.nn.functional")
sys.modules.update({"torch.nn": nn, "torch.nn.functional": nn.functional})
END
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import os

import numpy as np
import onnxruntime
from onnx import checker, numpy_helper, parser, save
from rknn.api import RKNN

told = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the SDK's own talk

model = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
g (float[1,8,64] x) => (float[1,8,64] y) {
    square = Mul (x, x)
    mean = ReduceMean <axes = [-1]> (square)
    root = Sqrt (mean)
    y = Div (x, root)
}""")
checker.check_model(model, full_check=True)
save(model, "model.onnx")
rknn = RKNN()
assert rknn.config(target_platform="rk3588") == 0
assert rknn.load_onnx("model.onnx") == 0
assert rknn.build(do_quantization=False) == 0
assert rknn.init_runtime() == 0
for value in (1.0, 0.1, 0.01, 0.001):
    given = np.full((1, 8, 64), value, np.float32)
    right = onnxruntime.InferenceSession("model.onnx").run(None, {"x": given})[0][0, 0, 0]
    found = rknn.inference(inputs=[given])[0][0, 0, 0]
    told.write(f"rows of {value}: onnxruntime {right:.4f}, rknn {found:.4f}\n")
    assert abs(right - 1) < 1e-4
    assert abs(found - value / (value * value + 1e-5) ** 0.5) < 1e-3
END
