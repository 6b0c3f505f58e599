#!/usr/bin/env bash
# rknn-toolkit2 2.5.0, target rk3588, its simulator on x86-64; Python 3.11; 2026-11-29.
#
# mean_values and std_values normalize an input: (x - mean) / std. For an input with four axes they do. For one
# with two (features, tables) the SDK takes them and ignores them: (10 - 4) / 2 is 10. `config` and `build`
# return 0, and no line of the log says so. What was trained on normalized features gets raw ones, in the
# calibration and on the device.
#
# Seen:
#   the network is y = x; x = 10, mean 4, std 2: [1,16,4,4] gives 3.0, [1,16] gives 10.0
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


def first(shape, nodes, weights):
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (float[{shape}] x) => (float[{shape}] y) {{ {nodes} }}"""
    model = parser.parse_model(text)
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    checker.check_model(model, full_check=True)
    save(model, "model.onnx")
    given = np.full([int(n) for n in shape.split(",")], 10, np.float32)
    rknn = RKNN()
    assert rknn.config(target_platform="rk3588", mean_values=[[4] * 16], std_values=[[2] * 16]) == 0
    assert rknn.load_onnx("model.onnx") == 0
    assert rknn.build(do_quantization=False) == 0
    assert rknn.init_runtime() == 0
    layout = ["nchw"] if given.ndim == 4 else None
    return float(rknn.inference(inputs=[given], data_format=layout)[0].ravel()[0])


one = np.eye(16, dtype=np.float32)
picture = first("1,16,4,4", "y = Conv (x, w)", one.reshape(16, 16, 1, 1))
row = first("1,16", "y = MatMul (x, w)", one)
print(f"the network is y = x; x = 10, mean 4, std 2: [1,16,4,4] gives {picture}, [1,16] gives {row}", file=told)
assert picture == 3
assert row == 10
END
