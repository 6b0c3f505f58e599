#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.32.0; Python 3.11; 2026-11-29.
#
# QuantizeLinear to INT4 rounds half to even and saturates: 7.6 is 7. Cast to INT4, which a network that does
# its own Div, Round and Clip ends in, does neither: 8 wraps to -8, 20 to 4. And the two readers round
# differently: the ReferenceEvaluator cuts the fraction off as for every integer, so 7.6 is 7; onnxruntime
# rounds first, half away from zero, so 7.6 wraps and becomes the smallest number there is, and 2.5 is 3. Its
# Cast to INT8 cuts off.
#
# Seen:
#   given                       [1.5, 2.5, 7.0, 7.599999904632568, 8.0, 20.0]
#   Cast INT4, onnxruntime      [2.0, 3.0, 7.0, -8.0, -8.0, 4.0]
#   Cast INT4, reference        [1.0, 2.0, 7.0, 7.0, -8.0, 4.0]
#   QuantizeLinear INT4, both   [2.0, 2.0, 7.0, 7.0, 7.0, 7.0]
#   Cast INT8, both             [1.0, 2.0, 7.0, 7.0, 8.0, 20.0]
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
from onnx import TensorProto, checker, parser
from onnx.reference import ReferenceEvaluator

given = {"x": np.array([1.5, 2.5, 7, 7.6, 8, 20], np.float32)}


def both(first):
    model = parser.parse_model(f"""<ir_version: 10, opset_import: ["" : 21]> g (float[6] x) => (float[6] y)
        <float s = {{1.0}}> {{ h = {first} y = Cast <to = 1> (h) }}""")
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return [reader.run(None, given)[0].tolist() for reader in (session, ReferenceEvaluator(model))]


print("given                      ", given["x"].tolist())
ours, reference = both(f"Cast <to = {TensorProto.INT4}> (x)")
print("Cast INT4, onnxruntime     ", ours)
print("Cast INT4, reference       ", reference)
assert ours == [2, 3, 7, -8, -8, 4]
assert reference == [1, 2, 7, 7, -8, 4]
saturated = both(f"QuantizeLinear <output_dtype = {TensorProto.INT4}> (x, s)")
print("QuantizeLinear INT4, both  ", saturated[0])
assert saturated[0] == saturated[1] == [2, 2, 7, 7, 7, 7]
whole = both(f"Cast <to = {TensorProto.INT8}> (x)")
print("Cast INT8, both            ", whole[0])
assert whole[0] == whole[1] == [1, 2, 7, 7, 8, 20]
END
