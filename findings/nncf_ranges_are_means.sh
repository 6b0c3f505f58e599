#!/usr/bin/env bash
# nncf 3.4.0, openvino 2026.4.1; Python 3.11; 2026-11-29.
#
# Nine samples within [-1, 1] and one, the same picture, ten times as large: one would expect nncf.quantize to
# cover [-10, 10], or a percentile. Its range is the mean of each sample's own minimum and maximum: about 1.9,
# and nine tenths of the large sample's span is cut. For activations behind a Relu it is the mean of the maxima
# likewise. With RangeEstimatorParametersSet.MINMAX in the advanced parameters it is 10. More samples do not
# widen a range; they pull it to what is usual.
#
# Seen:
#   largest of nine samples 0.989, of the tenth 9.887
#   the network's range: default 1.893, MINMAX 9.965
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
from nncf.quantization import range_estimator
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


def largest(**options):
    samples = nncf.Dataset([small] * 9 + [10 * small])
    quantized = nncf.quantize(network(), samples, subset_size=10, **options)
    first = next(n for n in quantized.get_ordered_ops() if n.get_type_name() == "FakeQuantize")
    return float(max(abs(first.input_value(i).get_node().data).max() for i in (1, 2)))


seen = float(np.abs(small).max())
default = largest()
widest = range_estimator.RangeEstimatorParametersSet.MINMAX
whole = largest(advanced_parameters=nncf.AdvancedQuantizationParameters(activations_range_estimator_params=widest))
print(f"largest of nine samples {seen:.3f}, of the tenth {10 * seen:.3f}", file=told)
print(f"the network's range: default {default:.3f}, MINMAX {whole:.3f}", file=told)
assert abs(default - 1.9 * seen) < 0.02 * seen
assert abs(whole - 10 * seen) < 0.1 * seen
END
