"""Sources that were quantized before: which form, which scales, and what the built file keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import parser

from pipelines.backends.rknn.findings.accuracy import source_scales
from pipelines.backends.rknn.findings.accuracy.evidence import Evidence, SourceScale
from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.recipe.options import Quantize
from pipelines.backends.rknn.sdk import quantized_source, quantized_tflite
from pipelines.run.jobs.refusal import Refusal
from quant.execution.run import FloatRun
from quant.fault import Fault
from quant.graph.analysis import quantized
from quant.report.target_metrics import Metrics
from quant.tflite.file import parse
from tests.tflite_builder import Network, options
from tests.workspace import Workspace

SHAPE = "float[1,3,8,8]"
QDQ = """<ir_version: 8, opset_import: ["" : 13]>
g ({shape} x) => (float[1,8,8,8] y)
<float sx = {{0.05}}, {type} zx = {{{zx}}}, float sw = {{0.01}}, int8 zw = {{0}},
 float sy = {{0.3}}, {type} zy = {{{zy}}}> {{
    qx = QuantizeLinear (x, sx, zx)
    dx = DequantizeLinear (qx, sx, zx)
    dw = DequantizeLinear (w, sw, zw)
    c = Conv <pads = [1,1,1,1]> (dx, dw)
    qy = QuantizeLinear (c, sy, zy)
    y = DequantizeLinear (qy, sy, zy)
}}"""
FORMS = {
    quantized.FLOAT: "g (float[1,4] x) => (float[1,4] y) { y = Relu (x) }",
    quantized.DYNAMIC: """g (float[1,4] x) => (uint8[1,4] q, float s, uint8 z)
        { q, s, z = DynamicQuantizeLinear (x) }""",
    quantized.QOPERATOR: """g (uint8[1,4] a, float s, uint8 z, uint8[4,4] w) => (uint8[1,4] y)
        { y = QLinearMatMul (a, s, z, w, s, z, s, z) }""",
}


def qdq(kind: str = "int8", zx: int = -28, zy: int = 3) -> onnx.ModelProto:
    model = parser.parse_model(QDQ.format(shape=SHAPE, type=kind, zx=zx, zy=zy))
    codes = np.random.default_rng(0).integers(-100, 100, (8, 3, 3, 3)).astype(np.int8)
    model.graph.initializer.append(onnx.numpy_helper.from_array(codes, "w"))
    return model


@pytest.mark.parametrize("form", FORMS)
def test_form(form: str) -> None:
    assert quantized.form(parser.parse_graph(FORMS[form]))[0] == form
    assert quantized.form(qdq().graph) == (quantized.QDQ, "QuantizeLinear")


@pytest.mark.parametrize(("kind", "zx", "as_int8"), [("int8", -28, -28), ("uint8", 100, -28)])
def test_activations_with_one_scale_each(kind: str, zx: int, as_int8: int) -> None:
    first, last = quantized.activations(qdq(kind, zx=zx))
    assert (first.names, first.bits, first.signed_zero_point) == (("x", "qx", "dx"), 8, as_int8)
    assert (last.names, np.float32(last.scale)) == (("c", "qy", "y"), np.float32(0.3))


# name -> (the source, the recipe's dtype, what is refused)
REFUSED: dict[str, tuple[onnx.GraphProto, str, str]] = {
    "float, told quantized": (
        parser.parse_graph(FORMS[quantized.FLOAT]),
        "prequantized",
        "the source is not quantized",
    ),
    "operators on codes": (
        parser.parse_graph(FORMS[quantized.QOPERATOR]),
        "prequantized",
        "quantized in the QOperator form (QLinearMatMul), which the SDK does not read",
    ),
    "quantized, to be quantized": (
        qdq().graph,
        "w8a8",
        "the source is quantized already (QuantizeLinear), and the recipe says `dtype: w8a8`",
    ),
    "quantized, to be float": (qdq().graph, "float16", "quantized already"),
}


def params_of(kind: str, dtype: str) -> RknnParams:
    return RknnParams(target="t", platform="rk3588", source_kind=kind, quantize=Quantize(dtype))


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    graph, dtype, what = REFUSED[name]
    source = tmp_path / "net.onnx"
    onnx.save(onnx.helper.make_model(graph), source)
    params = params_of("onnx", dtype)
    with pytest.raises(Refusal) as raised:
        quantized_source.require(params, source)
    assert what in raised.value.what
    assert raised.value.advice


def test_codes_of_16_bits_are_refused(tmp_path: Path) -> None:
    model = qdq("int16", zx=0)
    model.opset_import[0].version = 21
    onnx.save(model, tmp_path / "net.onnx")
    params = params_of("onnx", "prequantized")
    with pytest.raises(Refusal, match="`x` is quantized to 16 bits, and the SDK reads 8"):
        quantized_source.require(params, tmp_path / "net.onnx")


def tflite(form: str) -> bytes:
    """A RELU, or a FULLY_CONNECTED, of a kind."""
    n = Network()
    dtype: Any = {quantized_tflite.INT8: np.int8, quantized_tflite.WIDE: np.int16}.get(form)
    if dtype is not None:
        x = n.input(1, 8, dtype=dtype)
        n.quantize(x, 0.1)
        y = n.op("RELU", x, dtype=dtype)
        n.quantize(y, 0.1)
        return n.pack(y)
    if form in (quantized_tflite.DYNAMIC, quantized_tflite.NARROW):
        w = n.constant(n.random.integers(-9, 9, (5, 8)), np.int8, name="w")
        n.quantize(w, 0.1)
        if form == quantized_tflite.NARROW:
            n.graph.tensors[w].type = schema.TensorType.INT4
    else:
        w = n.weights(5, 8)
    return n.pack(n.op("FULLY_CONNECTED", n.input(1, 8), w, given=options("FullyConnected")))


@pytest.mark.parametrize(
    ("form", "what"),
    [
        (quantized_tflite.INT8, ""),
        (quantized_tflite.WIDE, "the file has activations of 16 bits (16x8)"),
        (quantized_tflite.DYNAMIC, "the file is of dynamic range"),
        (quantized_tflite.NARROW, "the file has weights of less than 8 bits"),
        (quantized_tflite.FLOAT, "the file is of float"),
    ],
)
def test_tflite(form: str, what: str, tmp_path: Path) -> None:
    file = tmp_path / "net.tflite"
    file.write_bytes(tflite(form))
    assert quantized_tflite.form(file) == form
    params = params_of("tflite", "prequantized")
    if not what:
        quantized_source.require(params, file)
        return
    with pytest.raises(Refusal) as raised:
        quantized_source.require(params, file)
    assert raised.value.what.startswith(what)


@pytest.mark.parametrize("form", [quantized_tflite.INT8, quantized_tflite.WIDE])
def test_the_own_reader_sends_to_the_sdk_what_that_reads(form: str) -> None:
    with pytest.raises(Fault, match="already quantized") as raised:
        parse(tflite(form), "net.tflite")
    assert ("load: direct" in raised.value.advice) == (form == quantized_tflite.INT8)


def test_a_damaged_tflite_file_is_the_sdks_to_tell(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(tflite(quantized_tflite.INT8)[:200])
    assert quantized_tflite.form(tmp_path / "net.tflite") == quantized_tflite.FLOAT


def test_dynamic_quantization_is_named() -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 13]>
        g (float[1,4] x) => (int32[1,4] y) <int8[4,4] w = {1,0,0,0,0,1,0,0,0,0,1,0,0,0,0,1}> {
            q, s, z = DynamicQuantizeLinear (x)
            y = MatMulInteger (q, w)
            t = NoSuchOperator (y)
        }"""
    )
    with pytest.raises(Fault) as raised:
        FloatRun(model)
    assert raised.value.advice == (
        "DynamicQuantizeLinear is of dynamic quantization: give the float network"
    )


def evidence(*held: SourceScale) -> Evidence:
    metrics: Any = Metrics  # none of it is looked at
    return Evidence(metrics, source_scales=held)


def test_finding() -> None:
    kept = SourceScale("a", (0.5, 3), (0.5, 3))
    larger = SourceScale("b", (0.3, 0), (0.3 * 128 / 127, 0))
    moved = SourceScale("c", (0.3, 5), (0.3, 6))
    inside = SourceScale("d", (0.1, 0), None)
    (found,) = source_scales.find(evidence(kept, larger, moved, inside))
    assert found.is_cause and found.nodes == ["b", "c"]
    assert found.evidence == {"scales": 4, "changed": 2, "inside": 1}
    (fine,) = source_scales.find(evidence(kept, inside))
    assert not fine.is_cause
    assert not [*source_scales.find(evidence())]


@pytest.mark.toolchain
@pytest.mark.parametrize("toolchain", ["rknn-2.5.0", "rknn-2.3.2"])
def test_what_the_sdk_keeps(toolchain: str, tmp_path: Path) -> None:
    """2.5.0 makes 128/127 of a scale whose zero point is 0; 2.3.2 keeps it."""
    workspace = Workspace(tmp_path)
    recipe = {
        "source": {"onnx": "net.onnx"},
        "quantize": {"dtype": "prequantized"},
        "targets": {"rk3588": {"toolchain": toolchain}},
    }
    for name, zy in (("other", 3), ("zero", 0)):
        workspace.add(name, recipe, net__onnx=qdq(zy=zy).SerializeToString())
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    changed = {}
    for name in ("other", "zero"):
        layers = json.loads(workspace.built(name, "rk3588/report/layers.json").read_text())
        (found,) = [one for one in layers["causes"] if one["name"] == "source_scales"]
        changed[name] = found["nodes"]
    assert changed == {"other": [], "zero": ["c"] if toolchain == "rknn-2.5.0" else []}


def test_infer_says_that_there_is_no_float_network(tmp_path: Path) -> None:
    """Before it looks for what is built: the float network never is."""
    workspace = Workspace(tmp_path)
    recipe = {
        "source": {"tflite": "net.tflite"},
        "inputs": {"x": {"shape": [1, 8, 8, 3]}},
        "quantize": {"dtype": "prequantized"},
        "rknn": {"load": "direct"},
        "targets": {"rv1106": {"toolchain": "rknn-2.5.0-tensorflow"}},
    }
    workspace.add("m", recipe, net__tflite=b"TFL3")
    sample = tmp_path / "x.npy"
    np.save(sample, np.zeros((8, 8, 3), np.float32))
    ran = workspace.doit("infer", "m@rv1106", str(sample))
    assert ran.code == 3
    assert "m@rv1106 has no float network to run beside it: its source is quantized" in ran.err
    assert "is not built" not in ran.err
