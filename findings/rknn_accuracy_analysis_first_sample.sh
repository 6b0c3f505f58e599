#!/usr/bin/env bash
# rknn-toolkit2 2.5.0, target rk3588, its simulator on x86-64; Python 3.11; 2026-11-29.
#
# accuracy_analysis(inputs=[...]) takes a list, and given a second sample for a network of one input it returns
# 0 and looks at the first alone: the table of two samples is that of whichever comes first. In the list's place
# a network's second input is meant; nobody counts. Here one sample lies on a step of int8's grid and has no
# error at all, the other lies between two, so the layer table of "both" is perfect, or not, by their order.
#
# Seen:
#   on           [Conv] y_int8              1.00000 | 0.00000   1.00000 | 0.00000
#   off          [Conv] y_int8              1.00000 | 4.89050   1.00000 | 4.89050
#   on then off  [Conv] y_int8              1.00000 | 0.00000   1.00000 | 0.00000
#   off then on  [Conv] y_int8              1.00000 | 4.89050   1.00000 | 4.89050
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
g (float[1,3,16,16] x) => (float[1,3,16,16] y)
<float[3,3,1,1] w = {1,0,0, 0,1,0, 0,0,1}> { y = Conv (x, w) }""")
checker.check_model(model, full_check=True)
save(model, "model.onnx")
for name, value in (("off", 1), ("on", 100)):
    np.save(f"{name}.npy", np.full((1, 3, 16, 16), value, np.float32))
with open("samples.txt", "w") as listed:
    listed.write("off.npy\non.npy\n")
rknn = RKNN()
assert rknn.config(target_platform="rk3588") == 0
assert rknn.load_onnx("model.onnx") == 0
assert rknn.build(do_quantization=True, dataset="samples.txt") == 0


def errors(*samples):
    assert rknn.accuracy_analysis(inputs=[f"{name}.npy" for name in samples], output_dir="made") == 0
    row = next(line for line in open("made/error_analysis.txt") if line.startswith("[Conv]"))
    told.write(f"{' then '.join(samples):12} {row}")
    return row.split()[2:]


on, off = errors("on"), errors("off")
assert on != off
assert errors("on", "off") == on
assert errors("off", "on") == off
END
