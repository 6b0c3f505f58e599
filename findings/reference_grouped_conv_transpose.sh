#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# Of ConvTranspose, onnx's ReferenceEvaluator runs group = 1 and one channel in and out for each group. Whatever
# lies between, 4 channels in 2 groups or a depthwise one that doubles its channels, raises a ValueError out of
# numpy, "cannot reshape" or "could not broadcast", which reads as if the network's shapes were wrong; onnx's
# checker and shape inference pass it and onnxruntime runs it. Conv has no such gap. So a valid upsampling block
# can't be checked against the reference.
#
# Seen:
#   4 channels, 1 groups, 2 out of each: equal True
#   4 channels, 4 groups, 1 out of each: equal True
#   4 channels, 2 groups, 1 out of each: cannot reshape array of size 4 into shape (1,2,4)
#   4 channels, 2 groups, 2 out of each: could not broadcast input array from shape (2,6,6) into shape (1,6,6)
#   4 channels, 4 groups, 2 out of each: cannot reshape array of size 16 into shape (1,1,8)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import onnxruntime
from onnx import checker, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

given = {"x": np.random.default_rng(0).normal(0, 1, (1, 4, 3, 3)).astype(np.float32)}


def network(groups, outputs):
    model = parser.parse_model(f"""<ir_version: 9, opset_import: ["" : 17]> g (float[1,4,3,3] x)
        => (float[1,{groups * outputs},6,6] y) {{ y = ConvTranspose <group = {groups}, strides = [2,2]> (x, w) }}""")
    weights = np.random.default_rng(1).normal(0, 1, (4, outputs, 2, 2)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    checker.check_model(model, full_check=True)
    return model


for groups, outputs, runs in ((1, 2, True), (4, 1, True), (2, 1, False), (2, 2, False), (4, 2, False)):
    model = network(groups, outputs)
    right = onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)[0]
    try:
        same = np.allclose(right, ReferenceEvaluator(model).run(None, given)[0], atol=1e-5)
        said = f"equal {same}"
        assert runs and same
    except ValueError as error:
        said = str(error)
        assert not runs
    print(f"4 channels, {groups} groups, {outputs} out of each: {said}")
END
