#!/usr/bin/env bash
# onnxruntime 1.32.0, onnx 1.23.2; Python 3.11; 2026-11-29.
#
# MinMax calibration with CalibMaxIntermediateOutputs, which "will produce the same result as all computing with
# None, but is more memory efficient", says quantize_static's documentation. It does not: whenever so many outputs
# are collected, they are thrown away before anything is computed of them. Of five samples of 5, 4, 3, 2 and 1
# at most two at a time, the range is that of the last, so that the network saturates at a fifth of what it saw;
# of four samples, two at a time, nothing is left and it says that no data is collected.
#
# Seen:
#   upper end of the range: all at once 5.0, two at a time 1.0
#   of four samples: No data is collected.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
from onnx import checker, parser, save
from onnxruntime.quantization import CalibrationDataReader, create_calibrator

model = parser.parse_model("""<ir_version: 9, opset_import: ["" : 17]>
g (float[1,1,4,4] x) => (float[1,1,4,4] y) <float[1,1,1,1] w = {1}> { y = Conv (x, w) }""")
checker.check_model(model, full_check=True)
save(model, "model.onnx")


class Reader(CalibrationDataReader):
    def __init__(self, count):
        self.rest = iter([np.full((1, 1, 4, 4), 5 - i, np.float32) for i in range(count)])

    def get_next(self):
        sample = next(self.rest, None)
        return None if sample is None else {"x": sample}


def largest(count, most):
    calibrator = create_calibrator("model.onnx", extra_options={"max_intermediate_outputs": most})
    calibrator.collect_data(Reader(count))
    return float(np.ravel(calibrator.compute_data()["x"].range_value[1])[0])


whole, few = largest(5, None), largest(5, 2)
print(f"upper end of the range: all at once {whole}, two at a time {few}")
try:
    largest(4, 2)
    told = "a range"
except ValueError as error:
    told = str(error)
print(f"of four samples: {told}")
assert (whole, few, told) == (5, 1, "No data is collected.")
END
