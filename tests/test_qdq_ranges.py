"""The backend qdq makes what onnxruntime's quantize_static makes, without keeping the samples."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    create_calibrator,
    quantize_static,
)

from pipelines.backends.qdq.jobs.layer_errors import layer_errors
from pipelines.backends.qdq.jobs.quantizer import quantize
from pipelines.backends.qdq.jobs.ranges import Calibration, observe
from pipelines.backends.qdq.jobs.rounded_graph import RoundedGraph
from pipelines.backends.qdq.recipe.options import Options
from pipelines.run.jobs.refusal import Refusal
from quant.execution.run import FloatRun
from quant.fault import Fault
from quant.report.metrics import distance
from tests.small_models import SHAPE, conv_net, model_bytes
from tests.vacuous import some

Feeds = Mapping[str, NDArray[Any]]


def branched() -> onnx.ModelProto:
    """Four outputs, one of them read inside too; a tensor of two readers, an operator of two
    results, a Relu that can't be taken into its Conv, constants on both sides."""
    random = np.random.default_rng(0)
    shapes = {"w": (8, 3, 3, 3), "b": (8,), "wa": (8, 3), "wb": (8, 5), "k": (1, 8, 1, 1)}
    weights = {
        name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()
    }
    make = helper.make_node
    nodes = [
        make("Conv", ["input", "w", "b"], ["c"], "conv", pads=[1] * 4),
        make("Relu", ["c"], ["r"], "relu"),
        make("Sigmoid", ["r"], ["s"], "sigmoid"),
        make("Mul", ["r", "s"], ["m"], "mul"),
        make("Add", ["m", "k"], ["n"], "shift"),
        make("GlobalAveragePool", ["n"], ["g"], "pool"),
        make("Flatten", ["g"], ["f"], "flatten"),
        make("Gemm", ["f", "wa"], ["a"], "gemm"),
        make("Softmax", ["a"], ["p"], "softmax"),
        make("MatMul", ["f", "wb"], ["q"], "matmul"),
        make("Split", ["c"], ["x1", "x2"], "split", axis=1),
        make("Add", ["x1", "x2"], ["z"], "add"),
    ]
    outputs: dict[str, Any] = {"a": (1, 3), "p": (1, 3), "q": (1, 5), "z": (1, 4, 16, 16)}
    return onnx.load_from_string(model_bytes(nodes, weights, {"input": SHAPE}, outputs))


NETWORKS = {"chain": onnx.load_from_string(conv_net()), "branched": branched()}


def samples(count: int = 5) -> list[Feeds]:
    """Normal, with one large value in the last but one."""
    random = np.random.default_rng(1)
    arrays = [random.normal(0, 1, SHAPE).astype(np.float32) for _ in range(count)]
    arrays[-2][0, 0, 0, 0] = 9
    return [{"input": array} for array in arrays]


class Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self._rest: Iterator[Feeds] = iter(samples())

    def get_next(self) -> Feeds | None:
        return next(self._rest, None)


METHODS = {
    "MinMax": Calibration("MinMax", 99.999, None),
    "Entropy": Calibration("Entropy", 99.999, None),
    "Entropy of 161 bins": Calibration("Entropy", 99.999, 161),
    "Percentile": Calibration("Percentile", 99.999, None),
    "Percentile, much cut": Calibration("Percentile", 90.0, 300),
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", METHODS)
def test_ranges_are_those_of_onnxruntimes_calibrater(
    network: str, name: str, tmp_path: Path
) -> None:
    how = METHODS[name]
    onnx.save(NETWORKS[network], tmp_path / "model.onnx")
    bins = {"num_bins": how.bins} if how.bins else {}
    theirs = create_calibrator(
        tmp_path / "model.onnx",
        augmented_model_path=str(tmp_path / "augmented.onnx"),
        calibrate_method=CalibrationMethod[how.method],
        extra_options={"percentile": how.percentile, **bins},
    )
    with contextlib.redirect_stdout(io.StringIO()):
        theirs.collect_data(Reader())
        expected = {
            tensor: tuple(float(np.ravel(end)[0]) for end in found.range_value)
            for tensor, found in theirs.compute_data().items()
        }
        assert observe(NETWORKS[network], how, samples) == expected


CHOICES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "unsigned activations, channels": {"activation_type": "QUInt8", "per_channel": True},
    "unsigned weights of 7 bits": {
        "activation_type": "QUInt8",
        "weight_type": "QUInt8",
        "reduce_range": True,
    },
    "16 bits": {"activation_type": "QUInt16"},
    "two operators": {"op_types_to_quantize": ("Conv", "Add")},
    "without a node": {"nodes_to_exclude": ("conv", "conv2")},
}


def quantized(model: onnx.ModelProto, **chosen: Any) -> onnx.ModelProto:
    return quantize(model, observe(model, METHODS["MinMax"], samples), Options(**chosen))[0]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", CHOICES)
def test_the_file_is_quantize_statics_byte_for_byte(
    network: str, name: str, tmp_path: Path
) -> None:
    model, chosen = NETWORKS[network], Options(**CHOICES[name])
    names = {node.name for node in model.graph.node}
    excluded = [node for node in chosen.nodes_to_exclude if node in names]
    quantize_static(
        copy.deepcopy(model),  # it takes the weights out of what it is given
        tmp_path / "theirs.onnx",
        Reader(),
        activation_type=QuantType[chosen.activation_type],
        weight_type=QuantType[chosen.weight_type],
        per_channel=chosen.per_channel,
        reduce_range=chosen.reduce_range,
        op_types_to_quantize=chosen.op_types_to_quantize,
        nodes_to_exclude=excluded,
    )
    made = quantized(model, **{**CHOICES[name], "nodes_to_exclude": tuple(excluded)})
    theirs = (tmp_path / "theirs.onnx").read_bytes()
    assert made.SerializeToString() == theirs
    graph = RoundedGraph(model, made)
    floats = [layer.node.name for layer in graph.layers if not layer.is_integer]
    assert bool(floats) is (name in ("two operators", "without a node"))
    assert set(excluded) <= {*floats}


def test_entire_errors_are_those_of_the_file() -> None:
    model = NETWORKS["branched"]
    made = quantized(model)
    rows = layer_errors(model, RoundedGraph(model, made), samples(2))
    found = {row.tensor: row for row in rows}
    assert [row.tensor for row in rows if row.part_of is not None] == ["x2"]
    assert found.keys() == {*"crsmngfapqz", "x1", "x2"}
    pairs = [(FloatRun(model)(one), FloatRun(made)(one)) for one in samples(2)]
    for output in "apqz":
        cosines = [distance(real[output], rounded[output]).cosine for real, rounded in pairs]
        entire = found[output].entire
        assert entire is not None
        assert entire.cosine_worst is not None
        assert entire.cosine_worst == min(cosines)
        assert entire.cosine_worst < 1


@pytest.mark.parametrize("node", ["conv", "gemm", "softmax", "split", "matmul"])
def test_a_single_error_is_that_of_a_network_with_one_integer_operator(node: str) -> None:
    """It reads the float network's tensors, rounded, and what it makes is rounded."""
    model = NETWORKS["branched"]
    others = tuple(one.name for one in model.graph.node if one.name != node)
    pairs = {"all": quantized(model), "one": quantized(model, nodes_to_exclude=others)}
    rows = {
        key: [
            row
            for row in layer_errors(model, RoundedGraph(model, made), samples(3))
            if row.name == node
        ]
        for key, made in pairs.items()
    }
    for row, alone in some(zip(rows["all"], rows["one"], strict=True)):
        assert row.single == alone.entire == alone.single
        assert row.single is not None
        assert row.single.cosine_worst is not None
        assert row.single.cosine_worst < 1


def test_what_can_not_be_quantized_is_told() -> None:
    with pytest.raises(Fault, match="the weights `w2` hold NaN"):
        quantized(onnx.load_from_string(conv_net(nan=True)))
    make = helper.make_node
    nodes = [make("Log", ["input"], ["l"], "log"), make("Mul", ["l", "l"], ["m"], "square")]
    model = onnx.load_from_string(model_bytes(nodes, {}, {"input": SHAPE}, {"m": SHAPE}))
    with pytest.raises(Fault, match="`l` holds NaN or infinities on the calibration") as fault:
        quantized(model)
    assert "`nodes_to_exclude`" in fault.value.advice
    chain = NETWORKS["chain"]
    with pytest.raises(Fault, match="the network is quantized already"):
        quantized(quantized(chain))
    with pytest.raises(Fault, match="there are no samples"):
        observe(chain, METHODS["MinMax"], list)
    with pytest.raises(Refusal, match="`fd`, which no node of the simplified graph is") as refusal:
        quantized(chain, nodes_to_exclude=("fd",))
    assert refusal.value.advice == "did you mean `fc`?"
    with pytest.raises(Refusal, match="`conv`, which onnxruntime does not quantize") as refusal:
        quantized(chain, op_types_to_quantize=("conv",))
    assert refusal.value.advice == "did you mean `Conv`?"
    with pytest.raises(Refusal, match="has opset 11, and `per_channel` needs 13"):
        quantized(onnx.load_from_string(conv_net(opset=11)), per_channel=True)
