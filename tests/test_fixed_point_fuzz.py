"""Random float graphs: the reference, onnxruntime and LiteRT give the same whole numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from quant.fault import Fault
from quant.fixed_point.calibration.ranges import data_free_samples, observe
from quant.fixed_point.calibration.tuning import Tuner
from quant.fixed_point.layer_errors import layer_errors
from quant.fixed_point.lower import lower
from quant.fixed_point.network import guard, reference, whole_numbers
from quant.fixed_point.network import network as net
from quant.fixed_point.network.network import Network, integer_name
from quant.fixed_point.network.options import Options
from quant.fixed_point.onnx.to_onnx import to_onnx
from quant.fixed_point.operators import LOWERINGS
from quant.fixed_point.tflite import whole_numbers as tflite_whole_numbers
from quant.fixed_point.tflite.run import TFLiteRun
from quant.fixed_point.tflite.to_tflite import to_tflite
from quant.graph.analysis.reals import with_outputs
from tests.random_graphs import random_graph
from tests.vacuous import some

GRAPHS = 600
PORTIONS = 12
SETTINGS = list(
    itertools.product(
        (1, 2, 4, 8, 16, 32, 0.5, 3, 10),
        ("B8", "B16"),
        ("compensated", "truncate"),
        ("calibrated", "constant"),
        ("tensor", "channel"),
    )
)


# A seed, its network, and samples for it
Case = tuple[int, Network, list[dict[str, npt.NDArray[np.generic]]]]


def options(seed: int) -> Options:
    return Options(*SETTINGS[seed * 7 % len(SETTINGS)])


def networks(portion: int, activations: str = "signed", every: int = 1) -> Iterator[Case]:
    """The networks of a portion's seeds, each with three samples.

    Unsigned activations choose their scales, so that none has constant shifts.
    """
    for seed in some(range(portion, GRAPHS, PORTIONS * every)):
        chosen = options(seed)
        if activations == "unsigned":
            chosen = replace(chosen, shifts="calibrated", activations=activations)
        model = random_graph(seed)
        samples = [*data_free_samples(model, 3, seed)]
        tuner = Tuner(model) if seed % 2 else None
        ranges = observe(model, data_free_samples(model, 8, seed), tuner)
        tuning = tuner.tuning() if tuner else None
        try:
            yield seed, lower(model, ranges, chosen, tuning), samples
        except Fault as fault:
            assert activations == "signed", f"seed {seed}: {fault}"
            assert "joins scales" in fault.what, f"seed {seed}: {fault}"
            assert options(seed).input_scales in (3, 10)


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_every_file_gives_the_references_numbers(portion: int) -> None:
    assert require_same_numbers(networks(portion)) >= GRAPHS / PORTIONS * 0.9


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_every_file_of_unsigned_activations_too(portion: int) -> None:
    found = list(networks(portion, "unsigned", every=4))
    assert require_same_numbers(found) == len(found) == -(-GRAPHS // (PORTIONS * 4))
    tensors = [tensor for _, network, _ in found for tensor in network.tensors.values()]
    assert any(tensor.limits == (0, 255) for tensor in tensors)


def require_same_numbers(cases: Iterable[Case]) -> int:
    """How many networks were compared."""
    seen = 0
    for seed, network, samples in cases:
        onnx_run = run_onnx(network)
        raw = to_tflite(network, "random")
        lite = [TFLiteRun(raw, has_delegates) for has_delegates in (True, False)]
        for sample in some(samples[:2]):
            expected = reference.run(network, sample)
            within_bounds(network, expected)
            found = onnx_run(sample)
            for name, codes in some(expected.items()):
                np.testing.assert_array_equal(found[integer_name(name)], codes, f"{seed} {name}")
            for name, reals in some(reference.outputs(network, expected).items()):
                np.testing.assert_array_equal(found[name], reals, f"{seed} {name}")
                for run in lite:
                    np.testing.assert_array_equal(run(sample)[name], reals, f"{seed} {name}")
        seen += 1
    return seen


def run_onnx(network: Network):  # type: ignore[no-untyped-def]
    """onnxruntime with its optimizations, every integer tensor put out too."""
    model = to_onnx(network, "random")
    assert whole_numbers.fractional_parameters(model) == []
    made = {name for node in model.graph.node for name in node.output}
    names = [integer_name(name) for name in network.tensors if integer_name(name) in made]
    assert len(names) == len(network.tensors)
    names += [output.name for output in network.outputs]
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        with_outputs(model, names).SerializeToString(), settings, ["CPUExecutionProvider"]
    )
    return lambda sample: dict(zip(names, session.run(None, sample), strict=True))


def within_bounds(network: Network, tensors: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """The static bounds that the guard relies on."""
    for name, codes in some(tensors.items()):
        told = network.tensors[name]
        assert told.shape == codes.shape
        assert told.low <= codes.min() <= codes.max() <= told.high


def has_kinds(found: Iterable[str], least: int) -> bool:
    """Whether so many different ones come; those after them are not made."""
    seen = set[str]()
    for each in found:
        seen.add(each)
        if len(seen) >= least:
            return True
    return False


def test_the_random_graphs_hold_most_operators() -> None:
    nodes = (node for seed in range(GRAPHS) for node in random_graph(seed).graph.node)
    assert has_kinds((node.op_type for node in nodes if node.op_type in LOWERINGS), 25)
    lowered = (network for portion in range(2) for _, network, _ in networks(portion))
    assert has_kinds(
        (type(each).__name__ for network in lowered for each in network.operations), 15
    )


def test_files_are_the_same_bytes_every_time() -> None:
    _, network, _ = next(networks(5))
    assert to_tflite(network, "a") == to_tflite(network, "a")
    assert to_onnx(network, "a") == to_onnx(network, "a")


def test_no_fraction_in_tflite_files_and_the_check_can_fail() -> None:
    for _, network, _ in some(itertools.islice(networks(1), 20)):
        raw = to_tflite(network, "random")
        assert tflite_whole_numbers.fractional_parameters(raw) == []
        model = to_onnx(network, "random")
        for tensor in model.graph.initializer:
            if tensor.data_type == 1 and len(tensor.raw_data) == 4:
                tensor.raw_data = np.float32(0.3).tobytes()
        assert whole_numbers.fractional_parameters(model)


def test_a_layer_beyond_2_24_is_written_as_two() -> None:
    """16A + B: the accumulator of 2,000 weights of 127 passes 2^24 by far."""
    rng = np.random.default_rng(0)
    weight = rng.integers(90, 128, (2_000, 3)).astype(np.int64)
    rescale = net.Rescale(np.array(12), bias=np.array([7, -3_000, 32_000]))
    network = Network(
        (net.RealInput("x", "x", Fraction(16)),),
        (net.MatrixProduct("y", "x", weight, rescale),),
        (net.Output("real", "y"),),
        {
            "x": net.Tensor("x", (1, 2_000), Fraction(16)),
            "y": net.Tensor("y", (1, 3), Fraction(16)),
        },
    )
    assert guard.needs_split(network, network.operations[0])
    raw, run = to_tflite(network, "wide"), run_onnx(network)
    for scale in (0.05, 1.0, 8.0):
        x = (rng.standard_normal((1, 2_000)) * scale).astype(np.float32)
        codes = reference.run(network, {"x": x})
        np.testing.assert_array_equal(run({"x": x})["y_q"], codes["y"])
        for has_delegates in (True, False):
            found = TFLiteRun(raw, has_delegates)({"x": x})["real"]
            np.testing.assert_array_equal(found, reference.outputs(network, codes)["real"])


def test_what_float32_cannot_hold_is_refused() -> None:
    rescale = net.Rescale(np.array(2))
    weight = np.full((2_000, 1), 127, np.int64)
    network = Network(
        (net.RealInput("x", "x", Fraction(16)),),
        (net.MatrixProduct("y", "x", weight, rescale),),
        (net.Output("real", "y"),),
        {
            "x": net.Tensor("x", (1, 2_000), Fraction(16)),
            "y": net.Tensor("y", (1, 1), Fraction(16)),
        },
    )
    for write in (to_onnx, to_tflite):
        with pytest.raises(Fault, match="`y` may sum up to 32,512,00"):
            write(network, "wide")


def test_an_operator_left_in_float() -> None:
    model = random_graph(3)
    model.graph.node[-1].op_type = "Sin"
    del model.graph.node[-1].input[1:], model.graph.node[-1].attribute[:]
    del model.graph.output[1:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    samples = [*data_free_samples(model, 3)]
    with pytest.raises(Fault, match="no integer form of Sin"):
        lower(model, observe(model, samples), Options(16))
    network = lower(model, observe(model, samples), Options(16, unsupported="float"))
    assert any("left in float" in note for note in network.notes)
    expected = reference.outputs(network, reference.run(network, samples[0]))
    run = onnxruntime.InferenceSession(to_onnx(network, "float").SerializeToString())
    for found, reals in some(zip(run.run(None, samples[0]), expected.values(), strict=True)):
        np.testing.assert_array_equal(found, reals)
    with pytest.raises(Fault, match="left in float"):
        to_tflite(network, "float")


def test_layer_errors_single_is_no_worse_than_the_input_step() -> None:
    """*single* sees float inputs: it stays near 1 behind however many layers."""
    model = random_graph(8)
    samples = [*data_free_samples(model, 8)]
    network = lower(model, observe(model, samples), Options(16))
    rows = layer_errors(model, network, samples)
    assert [row.tensor for row in rows]
    for row in rows:
        assert row.entire is not None and row.single is not None
        assert row.single.cosine_mean is not None and row.entire.cosine_mean is not None
        assert row.single.cosine_mean > 0.9
        assert row.entire.cosine_mean > 0.8
