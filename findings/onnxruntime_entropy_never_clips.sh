#!/usr/bin/env bash
# onnxruntime 1.32.0, onnx 1.23.2; Python 3.11; 2026-11-29.
#
# Entropy calibration is for clipping what is rare: of 32,768 normal values and a single 100, one would expect a
# range of 4 or so. quantize_static with CalibrationMethod.Entropy gives 100, to the last digit what MinMax
# gives, here and on every data that was tried. Its histogram has 128 bins by default, and it looks for the best
# threshold of at least num_quantized_bins, which is 128 too: there is one candidate, everything. extra_options
# of quantize_static do not reach the two numbers; create_calibrator's do, and with 8,001 bins and 255 the same
# calibrator clips.
#
# Seen:
#   upper end of the range: MinMax 100.0, Entropy 100.0, Entropy of 8,001 bins 3.19
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import contextlib

import numpy as np
from onnx import checker, parser, save
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

model = parser.parse_model("""<ir_version: 9, opset_import: ["" : 17]>
g (float[1,1,64,64] x) => (float[1,1,64,64] y) <float[1,1,1,1] w = {1}> { y = Conv (x, w) }""")
checker.check_model(model, full_check=True)
save(model, "model.onnx")
random = np.random.default_rng(0)
samples = [random.normal(0, 1, (1, 1, 64, 64)).astype(np.float32) for _ in range(8)]
samples[0][0, 0, 0, 0] = 100


class Reader(CalibrationDataReader):
    def __init__(self):
        self.rest = iter(samples)

    def get_next(self):
        sample = next(self.rest, None)
        return None if sample is None else {"x": sample}


def largest(method, **bins):
    calibrator = create_calibrator("model.onnx", calibrate_method=method, extra_options=bins)
    with contextlib.redirect_stdout(None):
        calibrator.collect_data(Reader())
        return float(np.ravel(calibrator.compute_data()["x"].range_value[1])[0])


plain, entropy = largest(CalibrationMethod.MinMax), largest(CalibrationMethod.Entropy)
finer = largest(CalibrationMethod.Entropy, num_bins=8001, num_quantized_bins=255)
print(f"upper end of the range: MinMax {plain}, Entropy {entropy}, Entropy of 8,001 bins {finer:.2f}")
assert plain == entropy == 100
assert finer < 50
END
