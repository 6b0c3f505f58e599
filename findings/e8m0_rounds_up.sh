#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.32.0, ml_dtypes 0.6.0; Python 3.11; 2026-11-29.
#
# FLOAT8E8M0 holds powers of two: the scales of the MX formats. Both onnx and ml_dtypes have it, onnx installs
# the other, and they round differently: ml_dtypes takes the nearest, ONNX's Cast by default the next power *up*
# (round_mode = "up", so that a block's maximum fits). 2.1 is 4 by Cast and 2 by astype, and a block that is
# scaled by one and read by the other is off by a factor of two. 0, which has no code, is NaN for one and 2 **
# -127 for the other. `round_mode = "nearest"` gives ml_dtypes's numbers, but for 0.
#
# Seen:
#   given          [0.0, 1.1, 2.1, 2.9, 3.1, 4.0]
#   Cast           [5.88e-39, 2.0, 4.0, 4.0, 4.0, 4.0]
#   Cast, nearest  [5.88e-39, 1.0, 2.0, 2.0, 4.0, 4.0]
#   ml_dtypes      [nan, 1.0, 2.0, 2.0, 4.0, 4.0]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx==1.23.2 onnxruntime==1.32.0 ml_dtypes==0.6.0
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import ml_dtypes
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, parser

given = np.array([0, 1.1, 2.1, 2.9, 3.1, 4], np.float32)


def cast(how):
    model = parser.parse_model(f"""<ir_version: 12, opset_import: ["" : 24]> g (float[6] x) => (float[6] y) {{
        h = Cast <to = {TensorProto.FLOAT8E8M0} {how}> (x) y = Cast <to = 1> (h) }}""")
    checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": given})[0]


up, nearest = cast(""), cast(', round_mode = "nearest"')
other = given.astype(ml_dtypes.float8_e8m0fnu).astype(np.float32)
for name, made in (("given", given), ("Cast", up), ("Cast, nearest", nearest), ("ml_dtypes", other)):
    print(f"{name:14}", [float(f"{value:.3g}") for value in made])
assert up[1:].tolist() == [2, 4, 4, 4, 4]
assert nearest[1:].tolist() == other[1:].tolist() == [1, 2, 2, 4, 4]
assert np.isnan(other[0])
assert up[0] == nearest[0] == 2.0**-127
END
