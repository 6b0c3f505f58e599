#!/usr/bin/env bash
# rknn-toolkit2 2.5.0, target rk3588, its simulator on x86-64; Python 3.11; 2026-11-29.
#
# compress_weight=True should make a file smaller, if it makes anything. Alone it changes nothing: the file of a
# network that is full of zeros stays as long to the byte. With single_core_mode=True, an option about how many
# NPU cores the network runs on, the same option takes off more than half. Neither is said; single_core_mode
# alone takes off half a percent.
#
# Seen:
#   neither                            3,724,739 bytes
#   compress_weight                    3,724,739 bytes
#   single_core_mode                   3,711,427 bytes
#   compress_weight + single_core_mode 1,558,723 bytes
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

model = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
g (float[1,640,8,8] x) => (float[1,640,8,8] y) { y = Conv <group = 80, pads = [1,1,1,1]> (x, w) }""")
weights = np.random.default_rng(0).normal(0, 0.1, (640, 8, 3, 3)).astype(np.float32)
model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
checker.check_model(model, full_check=True)
save(model, "model.onnx")
np.save("sample.npy", np.random.default_rng(9).normal(0, 1, (1, 640, 8, 8)).astype(np.float32))
with open("samples.txt", "w") as listed:
    listed.write("sample.npy\n")


def size(**options):
    rknn = RKNN()
    assert rknn.config(target_platform="rk3588", **options) == 0
    assert rknn.load_onnx("model.onnx") == 0
    assert rknn.build(do_quantization=True, dataset="samples.txt") == 0
    assert rknn.export_rknn("model.rknn") == 0
    made = os.path.getsize("model.rknn")
    told.write(f"{' + '.join(options) or 'neither':34} {made:>9,} bytes\n")
    return made


neither, compressed = size(), size(compress_weight=True)
single, both = size(single_core_mode=True), size(compress_weight=True, single_core_mode=True)
assert compressed == neither
assert single > 0.95 * neither
assert both < 0.6 * neither
END
