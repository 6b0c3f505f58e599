"""The backend qdq's graph that knows its tensors by name gives onnxruntime's own file."""

from __future__ import annotations

import onnx
import pytest
from onnx import parser
from onnxruntime.quantization import base_quantizer, qdq_quantizer

from pipelines.backends.qdq.jobs import quantizer
from pipelines.backends.qdq.recipe.options import Options
from tests.random_graphs import random_graph

OPTIONS = (
    Options(),
    Options(per_channel=True, activation_type="QUInt8"),
    Options(op_types_to_quantize=("Conv", "Add")),
)
# A bias of two readers, which gets a copy each, a weight of two, and a Relu that is taken into its
# Conv beside one that is not.
SHARED = """
<ir_version: 8, opset_import: ["" : 15]>
g (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y)
<float[2, 2, 1, 1] w = {1, -2, 0.5, 3}, float[2] b = {0.25, -1}>
{
    a = Conv(x, w, b)
    c = Relu(a)
    d = Conv(c, w, b)
    e = Relu(d)
    f = Add(d, e)
    y = Clip(f)
}
"""


def ranges_of(model: onnx.ModelProto) -> quantizer.Ranges:
    names = [value.name for value in model.graph.input]
    names += [name for node in model.graph.node for name in node.output]
    return {name: (-1.0 - i / 8, 2.0 + i / 8) for i, name in enumerate(names)}


def plain(
    model: onnx.ModelProto, options: Options, patch: pytest.MonkeyPatch
) -> tuple[onnx.ModelProto, list[str]]:
    with patch.context() as here:
        here.setattr(quantizer, "IndexedQuantizer", qdq_quantizer.QDQQuantizer)
        return quantizer.quantize(model, ranges_of(model), options)


@pytest.mark.parametrize("seed", [None, *range(12)])
def test_the_same_file(seed: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    model = parser.parse_model(SHARED) if seed is None else random_graph(seed)
    for options in OPTIONS:
        made, told = quantizer.quantize(model, ranges_of(model), options)
        expected, expected_told = plain(model, options, monkeypatch)
        assert made.SerializeToString() == expected.SerializeToString()
        assert told == expected_told
        kinds = {node.op_type for node in made.graph.node}
        if not options.op_types_to_quantize:
            assert kinds >= {"QuantizeLinear", "DequantizeLinear"}


def test_onnxruntime_s_own_modules_are_as_they_were() -> None:
    find = qdq_quantizer.find_by_name
    model = random_graph(0)
    quantizer.quantize(model, ranges_of(model), Options())
    assert (qdq_quantizer.find_by_name, base_quantizer.find_by_name) == (find, find)
