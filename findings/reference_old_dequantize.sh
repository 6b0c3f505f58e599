#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# onnx's ReferenceEvaluator runs operators of old opsets by the nearest implementation below, so one would
# expect QuantizeLinear and DequantizeLinear of opset 13, which most QDQ networks have, to run. QuantizeLinear
# does. DequantizeLinear has no implementation before opset 19, and the network is refused; lifted to 19 by the
# version converter it runs and is right. Float networks of opset 13 do run, so it shows when one is quantized.
#
# Seen:
#   opset 13, QuantizeLinear: [126, 129, 132]
#   opset 13, with DequantizeLinear: No implementation for operator 'DequantizeLinear' domain '' and version 13, found 19, 21, 23, 25, None.
#   lifted to 19: [-1.0, 0.5, 2.0] onnxruntime: [-1.0, 0.5, 2.0]
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
from onnx import checker, parser, version_converter
from onnx.reference import ReferenceEvaluator


def network(nodes, kind):
    model = parser.parse_model(f"""<ir_version: 7, opset_import: ["" : 13]> g (float[3] x) => ({kind}[3] y)
        <float scale = {{0.5}}, uint8 zero = {{128}}> {{ {nodes} }}""")
    checker.check_model(model, full_check=True)
    return model


given = {"x": np.array([-1, 0.3, 2], np.float32)}
quantized = ReferenceEvaluator(network("y = QuantizeLinear (x, scale, zero)", "uint8")).run(None, given)[0]
print("opset 13, QuantizeLinear:", quantized.tolist())
both = network("q = QuantizeLinear (x, scale, zero) y = DequantizeLinear (q, scale, zero)", "float")
right = onnxruntime.InferenceSession(both.SerializeToString()).run(None, given)[0].tolist()
try:
    ReferenceEvaluator(both).run(None, given)
except Exception as error:
    print("opset 13, with DequantizeLinear:", str(error).split("\n")[0])
    assert "No implementation for operator 'DequantizeLinear'" in str(error)
else:
    raise SystemExit("it ran")
lifted = ReferenceEvaluator(version_converter.convert_version(both, 19)).run(None, given)[0].tolist()
print("lifted to 19:", lifted, "onnxruntime:", right)
assert lifted == right == [-1, 0.5, 2]
END
