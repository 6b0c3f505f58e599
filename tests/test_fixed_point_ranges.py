"""What float tensors were seen to hold, and the samples that stand in for data."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from quant.execution.run import FloatRun
from quant.fault import Fault
from quant.fixed_point.calibration.magnitudes import Magnitudes
from quant.fixed_point.calibration.ranges import (
    Range,
    data_free_samples,
    observe,
)
from quant.graph.analysis.reals import float_tensors, with_outputs
from quant.graph.graph import Graph
from tests.graph_builder import Builder, parsed
from tests.vacuous import some

Samples = list[dict[str, NDArray[Any]]]


def network() -> onnx.ModelProto:
    """Reals and indices in; Conv, Relu, an embedding and a product of both."""
    tables = {
        "wide": np.arange(12, dtype=np.float32).reshape(6, 2),
        "narrow": np.arange(8, dtype=np.float32).reshape(4, 2) - 3,
        "w": np.array([[[[1.0]]], [[[-2.0]]]], np.float32),
    }
    return parsed(
        """g (float[1,1,3,2] image, int64[1,3] user, int32[1,3] item)
            => (float[1,2,3,2] y, float[1,3,2] a, float[1,3,2] b) {
            c = Conv(image, w)
            y = Relu(c)
            a = Gather(wide, user)
            long = Cast<to=7>(item)
            b0 = Gather(narrow, long)
            b1 = Gather(wide, long)
            b = Add(b0, b1)
        }""",
        tables,
    )


def test_ranges_are_those_of_all_samples() -> None:
    model = network()
    samples = list(data_free_samples(model, 7))
    found = observe(model, samples)
    assert set(found) == {"image", "y", "a", "b", "b0", "b1"}
    run = FloatRun(with_outputs(model, float_tensors(Graph(model))))
    runs = [{**run(sample), "image": sample["image"]} for sample in samples]
    for name, seen in found.items():
        values = np.array([one[name] for one in runs])
        assert (seen.low, seen.high) == (values.min(), values.max())
        assert seen.magnitude <= np.abs(values).max()


def test_order_does_not_matter() -> None:
    samples = list(data_free_samples(network(), 7))
    assert observe(network(), samples) == observe(network(), samples[::-1])


def test_no_sample_is_held() -> None:
    """Memory does not grow with them."""
    seen: list[weakref.ref[Any]] = []

    def counted() -> Iterator[dict[str, NDArray[Any]]]:
        for sample in data_free_samples(network(), 12):
            seen.append(weakref.ref(sample["image"]))
            yield sample
            del sample
            # Two run ahead of the one that is looked at, whose name may still be bound.
            assert sum(ref() is not None for ref in seen) <= 4

    observe(network(), counted())
    assert len(seen) == 12


def test_no_samples_and_no_numbers_are_told() -> None:
    with pytest.raises(Fault, match="there are no samples"):
        observe(network(), [])
    (sample,) = data_free_samples(network(), 1)
    sample["image"][0, 0, 1, 1] = np.nan
    with pytest.raises(Fault, match="`image` holds NaN or infinities"):
        observe(network(), [sample])


def test_samples_without_data() -> None:
    """Normal reals; indices of every row that all tables have; the same every time."""
    samples = list(data_free_samples(network(), 200))
    again = list(data_free_samples(network(), 200))
    for one, other in zip(samples, again, strict=True):
        for name, value in some(one.items()):
            np.testing.assert_array_equal(value, other[name])
    image = np.array([sample["image"] for sample in samples])
    assert image.dtype == np.float32 and image.shape[1:] == (1, 1, 3, 2)
    assert abs(float(image.mean())) < 0.1
    assert abs(float(image.std()) - 1) < 0.1
    users, items = ({int(i) for s in samples for i in s[name].flat} for name in ("user", "item"))
    assert users == set(range(6))
    assert items == set(range(4))  # the smaller table is read behind the Cast
    assert samples[0]["user"].dtype == np.dtype("int64")
    assert samples[0]["item"].dtype == np.dtype("int32")
    (other,) = data_free_samples(network(), 1, seed=1)
    assert not np.array_equal(other["image"], samples[0]["image"])


RANDOM = np.random.default_rng(0)
VALUES = {
    "uniform": RANDOM.uniform(-1, 1, 9000),
    "just above a power of two": RANDOM.uniform(-1.01, 1.01, 9000),
    "normal": RANDOM.standard_normal(9000),
    "heavy tails": RANDOM.standard_t(3, 9000),
    "one far out": np.append(RANDOM.standard_normal(9000), 60.0),
    "mostly zero": np.maximum(RANDOM.standard_normal(9000) - 2, 0),
    "tiny": RANDOM.standard_normal(9000) * 1e-9,
}


@pytest.mark.parametrize("name", VALUES)
def test_the_peak_is_the_one_of_least_error(name: str) -> None:
    """Of the scale that holds all, twice that and four times that, by codes of every value."""
    values = VALUES[name]
    magnitudes = Magnitudes()
    for part in np.array_split(values.astype(np.float32), 5):
        magnitudes.add(part)
    finest = 2.0 ** np.floor(np.log2(127.5 / np.abs(values).max()))
    errors = {finest * step: square_error(values, finest * step) for step in (1, 2, 4)}
    chosen = Range(float(values.min()), float(values.max()), magnitudes.best_peak()).magnitude
    scale = 2.0 ** np.floor(np.log2(127.5 / chosen))
    assert errors[scale] <= 1.1 * min(errors.values())


def square_error(values: NDArray[Any], scale: float) -> float:
    codes = np.clip(np.rint(values * scale), -127, 127)
    return float(np.mean((codes / scale - values) ** 2))


def test_nothing_but_zeros_has_no_peak() -> None:
    magnitudes = Magnitudes()
    magnitudes.add(np.zeros((2, 3), np.float32))
    assert magnitudes.best_peak() == 0


def test_a_large_tensor_counts_evenly() -> None:
    """Every n-th element is looked at, and n shares no factor with even widths."""
    x = np.tile(np.array([1.0, 0.1, 0.1, 0.1], np.float32), 65_536)
    magnitudes = Magnitudes()
    magnitudes.add(x)
    large = magnitudes.counts[magnitudes.counts > 0]
    assert 0.2 < large[-1] / large.sum() < 0.3


def test_tensors_of_a_network_without_types_are_found() -> None:
    b = Builder(seed=1)
    y = b.op("Relu", b.op("Neg", "x"))
    assert float_tensors(Graph(b.model({"x": (1, 2)}, [y]))) == ["Neg_0_out", "Relu_1_out"]
