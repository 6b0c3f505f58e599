#!/usr/bin/env bash
# rknn-toolkit2 2.5.0, target rk3588, its simulator on x86-64; Python 3.11; 2026-11-29.
#
# Four grouped convolutions, 640 channels in 80 groups of 8. One would expect an int8 file of half the float16
# file's size. It is 3.7 times as large, and 20 times the float ONNX: with fewer than 16 bytes of channels a
# group the SDK writes the grouped convolution out as a dense one, 640 x 640 weights of which 79 in 80 are
# zeros. 8 channels are 16 bytes in float16 and 8 in int8, so quantization is what sets it off. With 16 channels
# a group nothing of the kind happens.
#
# Seen:
#   8 channels a group: ONNX 737,741, float16 4,015,339, int8 14,878,469
#   16 channels a group: ONNX 1,475,021, float16 2,588,779, int8 2,474,437
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
from onnx import checker, numpy_helper, parser, save
from rknn.api import RKNN

told = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the SDK's own talk


def network(per_group):
    nodes = "".join(
        f"c{i} = Conv <group = {640 // per_group}, pads = [1,1,1,1]> (r{i}, w{i}) r{i + 1} = Relu (c{i})\n"
        for i in range(4)
    )
    model = parser.parse_model(f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,640,8,8] r0) => (float[1,640,8,8] r4) {{ {nodes} }}""")
    for i in range(4):
        weights = np.random.default_rng(i).normal(0, 0.1, (640, per_group, 3, 3)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weights, f"w{i}"))
    checker.check_model(model, full_check=True)
    save(model, "model.onnx")
    return os.path.getsize("model.onnx")


def size(quantize):
    rknn = RKNN()
    assert rknn.config(target_platform="rk3588") == 0
    assert rknn.load_onnx("model.onnx") == 0
    assert rknn.build(do_quantization=quantize, dataset="samples.txt") == 0
    assert rknn.export_rknn("model.rknn") == 0
    return os.path.getsize("model.rknn")


np.save("sample.npy", np.random.default_rng(9).normal(0, 1, (1, 640, 8, 8)).astype(np.float32))
with open("samples.txt", "w") as listed:
    listed.write("sample.npy\n")
for per_group in (8, 16):
    onnx_bytes, float16, int8 = network(per_group), size(False), size(True)
    print(f"{per_group} channels a group: ONNX {onnx_bytes:,}, float16 {float16:,}, int8 {int8:,}", file=told)
    assert (int8 > 3 * float16) == (per_group == 8)
END
