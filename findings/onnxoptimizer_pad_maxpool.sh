#!/usr/bin/env bash
# onnxoptimizer 0.4.2, onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# Pad writes zeros round a picture; a pooling's own `pads` are no numbers at all: MaxPool takes the largest of
# what is there, AveragePool leaves them out of the count. onnxoptimizer's fuse_pad_into_pool, one of its
# default fusion passes, makes the first into the second. For AveragePool it sets count_include_pad, and is
# right; for MaxPool nothing can stand for it, and wherever a border window holds only negative numbers its
# largest is no longer 0. A network with a Relu before the Pad never shows it; one with LeakyRelu or SiLU does.
#
# Seen:
#   original:  ['Pad', 'MaxPool'] [0.0, 0.0, 0.0, 0.0]
#   optimized: ['MaxPool'] [-5.0, -5.0, -5.0, -5.0]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxoptimizer==0.4.2 onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import onnxoptimizer
import onnxruntime
from onnx import checker, parser

model = parser.parse_model("""<ir_version: 9, opset_import: ["" : 17]>
g (float[1,1,2,2] x) => (float[1,1,2,2] y) <int64[8] p = {0,0,1,1,0,0,1,1}> {
    a = Pad (x, p)
    y = MaxPool <kernel_shape = [2,2], strides = [2,2]> (a)
}""")
checker.check_model(model, full_check=True)


def run(network):
    session = onnxruntime.InferenceSession(network.SerializeToString())
    return session.run(None, {"x": np.full((1, 1, 2, 2), -5, np.float32)})[0].ravel().tolist()


optimized = onnxoptimizer.optimize(model, onnxoptimizer.get_fuse_and_elimination_passes())
before, after = run(model), run(optimized)
print("original: ", [node.op_type for node in model.graph.node], before)
print("optimized:", [node.op_type for node in optimized.graph.node], after)
assert before == [0, 0, 0, 0]
assert after == [-5, -5, -5, -5]
END
