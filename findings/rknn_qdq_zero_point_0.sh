#!/usr/bin/env bash
# rknn-toolkit2 2.5.0, target rk3588, its simulator on x86-64; Python 3.11; 2026-11-29.
#
# A network that was quantized elsewhere (QDQ ONNX, int8) is loaded with do_quantization=False, which the SDK
# calls a QAT model: the scales of the file should be those of the .rknn. They are, if an activation's zero
# point is 3. If it is 0, the symmetric scheme that TensorRT-style tools write, the scale 0.3 becomes 0.3 * 128
# / 127 = 0.30236: as if the range [-128 * 0.3, 127 * 0.3] were made symmetric, and its larger side then
# divided by 127. So codes that training and the other runtime agreed on differ by up to a step,
# on every such tensor, and a device that is fed or read as int8 by the source's scale is 0.8 % off. Only a
# warning about optimization_level is printed; that level changes nothing here.
#
# Seen:
#   zero point 3: 0.3 in the file True, step 0.30000, equal outputs 92%
#   zero point 0: 0.3 in the file False, step 0.30236, equal outputs 3%
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


def network(zero_point):
    model = parser.parse_model(f"""<ir_version: 8, opset_import: ["" : 13]>
        g (float[1,3,8,8] x) => (float[1,8,8,8] y)
        <float sx = {{0.05}}, int8 zx = {{-28}}, float sw = {{0.01}}, int8 zw = {{0}},
         float sy = {{0.3}}, int8 zy = {{{zero_point}}}> {{
        qx = QuantizeLinear (x, sx, zx)
        dx = DequantizeLinear (qx, sx, zx)
        dw = DequantizeLinear (w, sw, zw)
        c = Conv <pads = [1,1,1,1]> (dx, dw)
        qy = QuantizeLinear (c, sy, zy)
        y = DequantizeLinear (qy, sy, zy)
    }}""")
    codes = np.random.default_rng(0).integers(-100, 100, (8, 3, 3, 3)).astype(np.int8)
    model.graph.initializer.append(numpy_helper.from_array(codes, "w"))
    checker.check_model(model, full_check=True)
    save(model, "model.onnx")


given = np.random.default_rng(1).normal(0, 2, (1, 3, 8, 8)).astype(np.float32)
for zero_point, step in ((3, 0.3), (0, 0.3 * 128 / 127)):
    network(zero_point)
    right = onnxruntime.InferenceSession("model.onnx").run(None, {"x": given})[0]
    rknn = RKNN()
    assert rknn.config(target_platform="rk3588", optimization_level=2) == 0
    assert rknn.load_onnx("model.onnx") == 0
    assert rknn.build(do_quantization=False) == 0
    assert rknn.export_rknn("model.rknn") == 0
    assert rknn.init_runtime() == 0
    found = rknn.inference(inputs=[given], data_format=["nchw"])[0]
    kept = np.float32(0.3).tobytes() in open("model.rknn", "rb").read()
    made = float(np.median(np.diff(np.unique(found))))
    equal = float(np.isclose(right, found, atol=1e-3).mean())
    told.write(f"zero point {zero_point}: 0.3 in the file {kept}, step {made:.5f}, equal outputs {equal:.0%}\n")
    assert kept == (zero_point == 3)
    assert abs(made - step) < 1e-4
END
