#!/usr/bin/env bash
# rknn-toolkit2 2.5.0, target rk3588, its simulator on x86-64; Python 3.11; 2026-11-29.
#
# inputs_yuv_fmt=["nv12"] should give a file that takes the two planes of a frame and makes RGB of them. `build` does,
# and warns that the inputs have changed. hybrid_quantization_step1 takes the same option and returns 0, and the file
# that hybrid_quantization_step2 then makes is the one without it, inputs and length: no word is said. A program that
# feeds it planes has the wrong number of inputs. (2.3.2 does the same.)
#
# Seen:
#   build, no option           19,459 bytes, the simulator takes 1
#   build, nv12                83,717 bytes, the simulator takes 2
#   step 1 and step 2, nv12    19,459 bytes, the simulator takes 1
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

model = parser.parse_model("""<ir_version: 8, opset_import: ["" : 13]>
g (float[1,3,32,32] x) => (float[1,8,32,32] y) { c = Conv <pads = [1,1,1,1]> (x, w)  y = Relu (c) }""")
random = np.random.default_rng(0)
weights = random.normal(0, 0.2, (8, 3, 3, 3)).astype(np.float32)
model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
checker.check_model(model, full_check=True)
save(model, "model.onnx")
np.save("sample.npy", random.integers(0, 256, (1, 3, 32, 32)).astype(np.float32))
with open("samples.txt", "w") as listed:
    listed.write("sample.npy\n")
rgb = [np.zeros((1, 3, 32, 32), np.uint8)]
frame = [np.zeros((1, 1, 32, 32), np.uint8), np.zeros((1, 1, 16, 32), np.uint8)]


def loaded(**options):
    rknn = RKNN()
    assert rknn.config(target_platform="rk3588", **options) == 0
    assert rknn.load_onnx("model.onnx") == 0
    return rknn


def told_of(name, rknn):
    assert rknn.export_rknn("model.rknn") == 0
    assert rknn.init_runtime() == 0
    taken = [len(given) for given in (rgb, frame) if takes(rknn, given)]
    made = os.path.getsize("model.rknn")
    told.write(f"{name:26} {made:>6,} bytes, the simulator takes {taken[0]}\n")
    return made, taken


def takes(rknn, given):
    kept = os.dup(2)
    os.dup2(1, 2)  # what it says of the inputs that it does not take
    try:
        return rknn.inference(inputs=given, data_format=["nchw"] * len(given)) is not None
    except Exception:
        return False
    finally:
        os.dup2(kept, 2)


def built(**options):
    rknn = loaded(**options)
    assert rknn.build(do_quantization=True, dataset="samples.txt") == 0
    return rknn


assert loaded(inputs_yuv_fmt=["nv12"]).hybrid_quantization_step1(dataset="samples.txt") == 0
step2 = RKNN()
names = ("model.model", "model.data", "model.quantization.cfg")
assert step2.hybrid_quantization_step2(*names) == 0

plain = told_of("build, no option", built())
planes = told_of("build, nv12", built(inputs_yuv_fmt=["nv12"]))
forgotten = told_of("step 1 and step 2, nv12", step2)
assert plain[1] == [1] and planes[1] == [2]
assert forgotten == plain
END
