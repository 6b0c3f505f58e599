#!/usr/bin/env bash
# tf2onnx 1.17.0, tensorflow-cpu 2.19.1, onnx 1.17.0; Python 3.11; 2026-11-30.
#
# tf2onnx writes another file of one TensorFlow network in each process: of the constants that it folds, the
# names, their numbers and the order differ. A fixed PYTHONHASHSEED does not help: it keeps nodes in sets, which
# Python orders by address. What the files compute is the same.
#
# Seen (of six processes, once in many runs two may write the same file):
#   PYTHONHASHSEED=0: 6 processes, 6 files, 6 lists of constants,
#       1 output, 1 set of operators
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    tensorflow-cpu==2.19.1 tf2onnx==1.17.0 onnx==1.17.0 onnxruntime==1.22.1 protobuf==5.29.5
cd "$folder"
cat > export.py <<'END'
import sys

import numpy as np
import tensorflow as tf
import tf2onnx

random = np.random.default_rng(0)
kernels = [random.normal(0, 1, (3, 3, 4, 4)).astype(np.float32) for _ in range(6)]


@tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 4), tf.float32, name="x")])
def network(x):
    for kernel in kernels:
        x = tf.clip_by_value(tf.nn.conv2d(x, kernel, 1, "SAME") / 6, 0.0, 6.0)
        x = tf.image.resize(x[:, ::2, ::2], (8, 8))
    return x


tf2onnx.convert.from_function(
    network, input_signature=network.input_signature, opset=17, output_path=sys.argv[1]
)
END
for number in 1 2 3 4 5 6; do
    PYTHONHASHSEED=0 CUDA_VISIBLE_DEVICES= TF_CPP_MIN_LOG_LEVEL=3 \
        "$folder/venv/bin/python" export.py "$number.onnx" 2> log.txt || { cat log.txt; exit 1; }
done
"$folder/venv/bin/python" - <<'END'
import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

files = sorted(Path().glob("?.onnx"))
given = {"x": np.random.default_rng(1).normal(0, 1, (1, 8, 8, 4)).astype(np.float32)}
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
contents, operators, outputs, names = set(), set(), set(), set()
for file in files:
    model = onnx.load(file)
    contents.add(hashlib.sha256(file.read_bytes()).hexdigest())
    operators.add(tuple(sorted(node.op_type for node in model.graph.node)))
    names.add(tuple(one.name for one in model.graph.initializer))
    run = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    outputs.add(run.run(None, given)[0].tobytes())
print(f"PYTHONHASHSEED=0: {len(files)} processes, {len(contents)} files, {len(names)} lists of constants,")
print(f"    {len(outputs)} output, {len(operators)} set of operators")
assert len(contents) > 1
assert len(outputs) == len(operators) == 1
END
