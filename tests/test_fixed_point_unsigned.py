"""Activations without a sign: codes 0 to 255, and scales that are no powers of two."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert.compiled_model import CompiledModel
from numpy.typing import NDArray
from onnx import TensorProto, helper

from quant.execution.run import FloatRun
from quant.fault import Fault
from quant.fixed_point.calibration.ranges import data_free_samples, observe
from quant.fixed_point.lower import lower
from quant.fixed_point.lowering.factors import common_factors
from quant.fixed_point.network import guard, reference
from quant.fixed_point.network import network as net
from quant.fixed_point.network.network import Network
from quant.fixed_point.network.options import Options
from quant.fixed_point.network.scales import just_below
from quant.fixed_point.tflite.run import TFLiteRun
from quant.fixed_point.tflite.to_tflite import to_tflite
from tests.graph_builder import from_x_to_y
from tests.test_fixed_point_realworld import require_exact

Array = NDArray[Any]
SHAPE = (2, 4, 6, 6)  # a batch of two


def node(kind: str, inputs: str, output: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], name=output, **attributes)


def graph(nodes: list[onnx.NodeProto], **weights: Array) -> onnx.ModelProto:
    """From `x` to `y`, of any shape."""
    return onnx.shape_inference.infer_shapes(from_x_to_y(nodes, SHAPE, None, weights))


RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(size=(5, 4, 3, 3)).astype(np.float32)
DEPTH = RANDOM.normal(size=(4, 1, 3, 3)).astype(np.float32)
BIAS = RANDOM.normal(size=5).astype(np.float32)
MATRIX = RANDOM.normal(size=(6, 7)).astype(np.float32)
LOW, HIGH, NEGATIVE = (np.array(value, np.float32) for value in (0.3, 2.7, -1.1))
PADS = np.array([0, 0, 1, 0, 0, 0, 0, 2])
SIZES = np.array([1, 1, 2, 2], np.float32)
SAME: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}

# Name -> nodes, constants, how many codes of 255 (or 127) the result may be off by, on average
CASES: dict[str, tuple[list[onnx.NodeProto], dict[str, Array], float]] = {
    "conv and odd clip": (
        [node("Conv", "x w b", "c"), node("Clip", "c low high")],
        {"w": WEIGHT, "b": BIAS, "low": LOW, "high": HIGH},
        1.5,
    ),
    "clip across zero": (
        [node("Conv", "x w b", "c"), node("Clip", "c low high")],
        {"w": WEIGHT, "b": BIAS, "low": NEGATIVE, "high": HIGH},
        1.5,
    ),
    "depthwise": ([node("Conv", "x w", group=4, pads=[1, 1, 1, 1])], {"w": DEPTH}, 1.5),
    "residual of both signs": (
        [node("Relu", "x", "r"), node("Conv", "r w", "c", **SAME, group=4), node("Add", "c r")],
        {"w": DEPTH},
        2.0,
    ),
    "difference": ([node("Relu", "x", "r"), node("Tanh", "x", "t"), node("Sub", "r t")], {}, 2.0),
    "concat of both signs": (
        [
            node("Relu", "x", "r"),
            node("Conv", "r w", "c", **SAME, group=4),
            node("Sigmoid", "x", "s"),
            node("Concat", "r c s", axis=1),
        ],
        {"w": DEPTH},
        2.0,
    ),
    "concat without signs": (
        [node("Relu", "x", "r"), node("Sigmoid", "x", "s"), node("Concat", "r s", axis=1)],
        {},
        1.5,
    ),
    "average at the edge": (
        [node("Relu", "x", "r"), node("AveragePool", "r", strides=[2, 2], **SAME)],
        {},
        1.5,
    ),
    "average with zeros": (
        [node("Relu", "x", "r"), node("AveragePool", "r", **SAME, count_include_pad=1)],
        {},
        1.5,
    ),
    "global average": ([node("Relu", "x", "r"), node("GlobalAveragePool", "r")], {}, 1.5),
    "maximum pool, padded": ([node("Relu", "x", "r"), node("MaxPool", "r", **SAME)], {}, 1.0),
    "pad below zero": (
        [node("Relu", "x", "r"), node("Pad", "r pads value")],
        {"pads": PADS, "value": NEGATIVE},
        1.0,
    ),
    "resize": (
        [node("Relu", "x", "r"), helper.make_node("Resize", ["r", "", "scales"], ["y"])],
        {"scales": SIZES},
        1.0,
    ),
    "matmul": ([node("MatMul", "x w", "m"), node("Relu", "m")], {"w": MATRIX}, 1.5),
    "matmul of two": (
        [node("Relu", "x", "r"), node("Sigmoid", "x", "s"), node("MatMul", "r s")],
        {},
        2,
    ),
    "gate": ([node("Relu", "x", "r"), node("Sigmoid", "x", "s"), node("Mul", "r s")], {}, 2.0),
    "one slope": ([node("PRelu", "x slope")], {"slope": np.array([0.2], np.float32)}, 1.5),
    "hard swish": (
        [node("HardSigmoid", "x", "h", alpha=1 / 6, beta=0.5), node("Mul", "x h")],
        {},
        1.5,
    ),
    "softmax": ([node("Softmax", "x", axis=1)], {}, 1.5),
    "sum": ([node("Relu", "x", "r"), node("ReduceSum", "r axes")], {"axes": np.array([1])}, 2.0),
    "maximum": ([node("Relu", "x", "r"), node("ReduceMax", "r", axes=[2, 3])], {}, 1.0),
    "transpose": ([node("Relu", "x", "r"), node("Transpose", "r", perm=[0, 2, 3, 1])], {}, 1.0),
}


@pytest.mark.parametrize("bias_mode", ["B8", "B16"])
@pytest.mark.parametrize("weights", ["tensor", "channel"])
@pytest.mark.parametrize("case", CASES)
def test_exact_in_every_reader_and_near_to_float(case: str, weights: str, bias_mode: str) -> None:
    nodes, constants, codes = CASES[case]
    model = graph(nodes, **constants)
    samples = [{"x": drawn(seed)} for seed in range(4)]
    made = lower(model, observe(model, samples), unsigned(weights, bias_mode))
    real = FloatRun(model)
    for sample in samples[:2]:
        require_exact(made, sample)
        (output,) = made.outputs
        tensor = made.tensors[output.tensor]
        found: Array = reference.outputs(made, reference.run(made, sample))["y"]
        expected: Array = real(sample)["y"]
        assert tensor.scale is not None
        off = np.abs(found - expected) * float(tensor.scale)
        assert off.mean() < codes * (1.6 if bias_mode == "B8" else 1.0)
        assert np.abs(found - expected).max() < 0.1 * np.abs(found).max()


def unsigned(weights: str = "tensor", bias_mode: str = "B16") -> Options:
    return Options(40, bias_mode, weights=weights, activations="unsigned")


def drawn(seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)


def codes_of(made: Network) -> Mapping[str, tuple[int, int]]:
    return {name: tensor.limits for name, tensor in made.tensors.items()}


def test_what_is_never_negative_has_all_codes_and_zero_stays_zero() -> None:
    model = graph([node("Relu", "x", "r"), node("Sigmoid", "r", "s"), node("Sub", "r s")])
    made = lower(model, observe(model, [{"x": drawn(1)}]), unsigned())
    assert codes_of(made) == {"x": (-128, 127), "r": (0, 255), "s": (0, 255), "y": (-128, 127)}
    codes = reference.run(made, {"x": -np.abs(drawn(1))})
    assert not codes["r"].any()


def test_pixels_have_no_sign_and_a_note_says_so() -> None:
    model = graph([node("Relu", "x")])
    pixels = np.arange(288, dtype=np.float32).reshape(SHAPE) % 256
    made = lower(model, observe(model, [{"x": pixels}]), Options(1, activations="unsigned"))
    np.testing.assert_array_equal(reference.run(made, {"x": pixels})["x"], pixels)
    assert made.notes == (
        "input `x` was nowhere below 0 in the calibration data: its codes are 0 to 255, and what "
        "is below 0 becomes 0",
    )


@pytest.mark.parametrize("limit", [0.007, 1.0, 42.5, 3e5])
def test_just_below(limit: float) -> None:
    assert limit * (1 - 2**-11) < float(just_below(limit)) <= limit


@pytest.mark.parametrize("peak", [127, 255, 255 * 255, 255 * 49, 255 * 1024])
def test_factors_are_near_and_their_sums_below_2_24(peak: int) -> None:
    random = np.random.default_rng(peak)
    for _ in range(50):
        wanted = [Fraction(float(r)) for r in random.uniform(0.05, 1, 2) * 255 / peak]
        factors, shift = common_factors(wanted, [peak, peak])
        assert peak * sum(factors) + 2 ** (shift - 1) < 2**24
        for ratio, factor in zip(wanted, factors, strict=True):
            off = abs(Fraction(factor, 2**shift) - ratio) * peak  # in codes of the result
            assert off <= Fraction(peak, 2 ** (shift + 1))


def test_sums_of_one_sign_bound_what_an_unsigned_layer_adds_up() -> None:
    """Each side of 300 weights of 100 stays below 2^24 with codes of 255; both together do not."""
    weight = np.concatenate([np.full((300, 1), 100), np.full((300, 1), -100)])
    tensors = {
        "x": net.Tensor("x", (1, 600), Fraction(1), low=0, high=255),
        "y": net.Tensor("y", (1, 1), Fraction(1)),
    }
    layer = net.MatrixProduct("y", "x", weight, net.Rescale(np.array(8)))
    made = Network(
        (net.RealInput("x", "x", Fraction(1)),), (layer,), (net.Output("o", "y"),), tensors
    )
    assert guard.accumulator_bound(made, layer) == 300 * 100 * 255
    for sample in (np.full((1, 600), 255), np.repeat([[255, 0]], 300, axis=1).reshape(1, 600)):
        require_exact(made, {"x": sample.astype(np.float32)})


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.INT64])
def test_compiled_model_takes_indices(kind: int, tmp_path: Path) -> None:
    """LiteRT's newer interface has no int64."""
    value = helper.make_tensor_value_info
    nodes = [node("Gather", "table i", "e"), node("MatMul", "e w", "m"), node("Relu", "m")]
    weights = {"table": RANDOM.normal(size=(9, 6)).astype(np.float32), "w": MATRIX}
    model = graph(nodes, **weights)
    del model.graph.input[:], model.graph.value_info[:]
    model.graph.input.append(value("i", kind, [2, 5]))
    model = onnx.shape_inference.infer_shapes(model)
    samples = [*data_free_samples(model, 4)]
    made = lower(model, observe(model, samples), unsigned())
    expected = reference.outputs(made, reference.run(made, samples[0]))["y"]
    file = tmp_path / "indices.tflite"
    file.write_bytes(to_tflite(made, "indices"))
    compiled = CompiledModel.from_file(str(file))
    given, found = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
    given[0].write(samples[0]["i"].astype(np.int32))
    compiled.run_by_index(0, given, found)
    for has_delegates in (True, False):
        lite = TFLiteRun(file.read_bytes(), has_delegates)(samples[0])
        np.testing.assert_array_equal(lite["y"], expected)
    np.testing.assert_array_equal(found[0].read(expected.size, np.float32), expected.ravel())


def test_constant_shifts_are_refused() -> None:
    with pytest.raises(Fault, match="constant shifts give all tensors one"):
        Options(4, shifts="constant", activations="unsigned")
