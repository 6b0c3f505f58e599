#!/usr/bin/env bash
# rknn-toolkit2 2.5.0, target rk3588, its simulator on x86-64; Python 3.11; 2026-11-29.
#
# A linear Resize by 2 of a map with one bright pixel, 8: the brightest interpolated value is 8 * 0.75 * 0.75 =
# 4.5. In int8, with that very map as calibration data, it is 2.52, 44 % less, though a step of 8 / 255 could
# hold 4.5 to within 0.02. The SDK gives the Resize's *input* the range of its *output*, so the pixel is cut to
# 4.5 before it is interpolated. Cosines hardly see it (a heat map's background agrees); key points and
# detections by a peak's height do. In float16 it is right.
#
# Seen:
#   brightest of the output: onnxruntime 4.5, float16 4.5, int8 2.524
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
g (float[1,1,8,8] x) => (float[1,1,16,16] y)
<float[1,1,1,1] w = {1}, float[0] roi = {}, float[4] scales = {1,1,2,2}> {
    c = Conv (x, w)
    y = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (c, roi, scales)
}""")
checker.check_model(model, full_check=True)
save(model, "model.onnx")
given = np.zeros((1, 1, 8, 8), np.float32)
given[0, 0, 3, 3] = 8
np.save("sample.npy", given)
with open("samples.txt", "w") as listed:
    listed.write("sample.npy\n")


def brightest(quantize):
    rknn = RKNN()
    assert rknn.config(target_platform="rk3588") == 0
    assert rknn.load_onnx("model.onnx") == 0
    assert rknn.build(do_quantization=quantize, dataset="samples.txt") == 0
    assert rknn.init_runtime() == 0
    return float(rknn.inference(inputs=[given], data_format=["nchw"])[0].max())


right = float(onnxruntime.InferenceSession("model.onnx").run(None, {"x": given})[0].max())
half, int8 = brightest(False), brightest(True)
print(f"brightest of the output: onnxruntime {right}, float16 {half}, int8 {int8:.3f}", file=told)
assert right == half == 4.5
assert abs(int8 - 4.5 * 0.75 * 0.75) < 0.03, int8
END
