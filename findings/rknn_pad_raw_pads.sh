#!/usr/bin/env bash
# rknn-toolkit2 2.5.0, target rk3588, on x86-64; Python 3.11; 2026-11-29.
#
# A Pad with constant pads and value between two convolutions. Whether it builds depends on how the file stores the
# pads: as int64_data (onnx.helper.make_tensor) it does, folded into the convolution behind it; as raw_data
# (onnx.numpy_helper.from_array, which most exporters write) `build` ends with `assignment destination is read-only`.
# Both files are the same network to onnx's checker and to onnxruntime.
#
# Seen:
#   int64_data: builds
#   raw_data: ValueError: assignment destination is read-only
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
from onnx import TensorProto, checker, helper, numpy_helper, save
from rknn.api import RKNN

told = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the SDK's own talk

PADS = [0, 0, 1, 1, 0, 0, 1, 1]
value, weights = helper.make_tensor_value_info, np.ones((8, 8, 1, 1), np.float32) / 8
given = np.random.default_rng(0).normal(size=(1, 8, 6, 6)).astype(np.float32)
outputs = []
for kind, pads in {
    "int64_data": helper.make_tensor("pads", TensorProto.INT64, [8], PADS),
    "raw_data": numpy_helper.from_array(np.array(PADS), "pads"),
}.items():
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], "c"),
            helper.make_node("Pad", ["c", "pads", "zero"], ["p"], "p"),
            helper.make_node("Conv", ["p", "w"], ["y"], "y"),
        ],
        "g",
        [value("x", TensorProto.FLOAT, [1, 8, 6, 6])],
        [value("y", TensorProto.FLOAT, [1, 8, 8, 8])],
        [
            pads,
            numpy_helper.from_array(weights, "w"),
            numpy_helper.from_array(np.float32(0), "zero"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    checker.check_model(model, full_check=True)
    save(model, "model.onnx")
    outputs.append(onnxruntime.InferenceSession("model.onnx").run(None, {"x": given})[0])
    rknn = RKNN()
    assert rknn.config(target_platform="rk3588") == 0
    assert rknn.load_onnx("model.onnx") == 0
    try:
        assert rknn.build(do_quantization=False) == 0
        found = "builds"
    except Exception as error:
        found = str(error).strip().splitlines()[-1]
    told.write(f"{kind}: {found}\n")
    assert (found == "builds") == (kind == "int64_data"), found
    assert kind == "int64_data" or "read-only" in found, found
assert np.array_equal(*outputs)
END
