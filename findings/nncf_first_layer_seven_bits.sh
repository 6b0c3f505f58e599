#!/usr/bin/env bash
# nncf 3.4.0, openvino 2026.4.1; Python 3.11; 2026-11-29.
#
# nncf.quantize makes int8 weights: -127 to 127, one would say. In the first convolution it uses -63 to 63, half
# the steps and twice the rounding error, in the layer that sees the picture. It is a precaution against 16-bit
# sums that overflow on old x86 processors (overflow_fix, "first layer only" by default), and it is done also
# where target_device says NPU. AdvancedQuantizationParameters with OverflowFix.DISABLE gives -127 to 127.
#
# Seen:
#   weights of three layers, default       [(-63, 63), (-127, 127), (-127, 127)]
#   weights of three layers, target NPU    [(-63, 63), (-127, 127), (-127, 127)]
#   weights of three layers, overflow off  [(-127, 127), (-127, 127), (-127, 127)]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    nncf==3.4.0 openvino==2026.4.1 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import logging
import sys

import nncf
import numpy as np
import openvino
from openvino import opset13 as op

nncf.set_log_level(logging.ERROR)
told, sys.stdout = sys.stdout, sys.stderr  # its progress bars


def network():
    x = made = op.parameter([1, 3, 8, 8], np.float32)
    for i, channels in enumerate((3, 8, 8)):
        weights = np.random.default_rng(i).normal(0, 0.1, (8, channels, 3, 3)).astype(np.float32)
        made = op.relu(op.convolution(made, op.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1]))
    return openvino.Model([op.result(made)], [x], "three")


small = np.random.default_rng(9).uniform(-1, 1, (1, 3, 8, 8)).astype(np.float32)


def ranges(**options):
    quantized = nncf.quantize(network(), nncf.Dataset([small]), subset_size=1, **options)
    return [
        (int(node.data.min()), int(node.data.max()))
        for node in quantized.get_ordered_ops()
        if node.get_type_name() == "Constant" and node.get_element_type() == openvino.Type.i8
    ]


default = ranges()
npu = ranges(target_device=nncf.TargetDevice.NPU)
off = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.DISABLE)
disabled = ranges(advanced_parameters=off)
print("weights of three layers, default      ", default, file=told)
print("weights of three layers, target NPU   ", npu, file=told)
print("weights of three layers, overflow off ", disabled, file=told)
assert default == npu == [(-63, 63), (-127, 127), (-127, 127)]
assert disabled == [(-127, 127)] * 3
END
