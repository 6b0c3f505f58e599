"""What weights and biases are tuned by: what the layers' taps read, and a few samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fixed_point.calibration import taps as tap_files
from quant.fixed_point.calibration.channel_means import ChannelMeans, weighted_inputs
from quant.fixed_point.calibration.rehearsal import Rehearsed
from quant.fixed_point.calibration.tap_readers import groups_of, places
from quant.fixed_point.calibration.taps import Taps, TapSums, weighted_layers
from quant.graph.graph import Graph

Array = NDArray[Any]

_MOST_WORK = 2**31  # multiplications that `auto` spends on a network: a second or two
_BLAS_GAIN = 16  # how many more of them a matrix product does in the same time
_MOST_SAMPLES, _LEAST_SAMPLES = 64, 8  # fewer would teach biases their own noise
_REHEARSED_WORK = 2**30  # multiplications of all samples: again a second or two
_TAP_WORK = 2**33  # the same of what taps read, which is matrix products
_TAPS, _SAMPLES = "taps.npz", "samples.npz"


@dataclass(frozen=True)
class Tuning:
    """taps: by the layer's output; none: all weights go to nearest. rehearsed: corrects biases."""

    taps: Mapping[str, Taps] = field(default_factory=dict)
    rehearsed: Rehearsed = field(default_factory=Rehearsed)

    def save(self, folder: Path) -> None:
        """FOLDER/taps.npz and FOLDER/samples.npz; none where there is nothing."""
        if not self.taps:
            return
        tap_files.save(self.taps, folder / _TAPS)
        means = self.rehearsed.means or {}
        arrays: dict[str, Array] = {f"means/{i}": np.array(m) for i, m in enumerate(means.values())}
        arrays["names"] = np.array(list(means), dtype=np.str_)
        for i, sample in enumerate(self.rehearsed.samples):
            arrays |= {f"samples/{i}/{name}": value for name, value in sample.items()}
        arrays["count"] = np.array(len(self.rehearsed.samples))
        with (folder / _SAMPLES).open("wb") as out:
            np.savez_compressed(out, **arrays)

    @classmethod
    def load(cls, folder: Path) -> Tuning:
        """What `save` wrote."""
        if not (folder / _TAPS).exists():
            return cls()
        with np.load(folder / _SAMPLES, allow_pickle=False) as arrays:
            names = (str(name) for name in arrays["names"])
            means = {name: arrays[f"means/{i}"].tolist() for i, name in enumerate(names)}
            samples = [
                {
                    key.removeprefix(f"samples/{i}/"): arrays[key]
                    for key in arrays.files
                    if key.startswith(f"samples/{i}/")
                }
                for i in range(int(arrays["count"]))
            ]
        return cls(tap_files.load(folder / _TAPS), Rehearsed(samples, means))


class Tuner:
    """Collects it, sample by sample."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._taps = TapSums(model)
        self._read = weighted_inputs(model)
        self._whole = max(_LEAST_SAMPLES, _TAP_WORK // max(1, tap_products(model)))
        self._most = min(_MOST_SAMPLES, _REHEARSED_WORK // max(1, products(model)))
        self._kept: list[tuple[Mapping[str, Array], Mapping[str, Array]]] = []
        self._seen, self._step = 0, 1

    def add(self, sample: Mapping[str, Array], tensors: Mapping[str, Array]) -> None:
        """sample: the inputs. tensors: every float tensor, real inputs too."""
        # Of many samples of a large network, ever fewer: half of the second `whole`, a quarter of
        # the two after it, and so on.
        if self._seen % (1 << (self._seen // self._whole).bit_length()) == 0:
            self._taps.add(tensors)
        if self._most >= _LEAST_SAMPLES and self._seen % self._step == 0:
            if len(self._kept) == self._most:  # those left are spread evenly over all
                del self._kept[1::2]
                self._step *= 2
            if self._seen % self._step == 0:
                read = {name: tensors[name] for name in self._read if name in tensors}
                self._kept.append((sample, {n: _means(v, self._read[n]) for n, v in read.items()}))
        self._seen += 1

    def tuning(self) -> Tuning:
        means = ChannelMeans()
        for _, found in self._kept:
            for name, value in found.items():
                means.add(name, value, 0)
        told = {name: mean for name in self._read if (mean := means.of(name)) is not None}
        samples = [sample for sample, _ in self._kept]
        enough = Rehearsed(samples, told) if len(samples) >= _LEAST_SAMPLES else Rehearsed()
        return Tuning(self._taps.taps(), enough)


def is_wanted(rounding: str, model: onnx.ModelProto) -> bool:
    """Whether a network is tuned: `auto` does where it is quick."""
    return rounding == "gptq" or (rounding == "auto" and work(model) <= _MOST_WORK)


def work(model: onnx.ModelProto) -> int:
    """Multiplications of GPTQ, about: taps^2 a channel, and taps^3 a group for the factors, which
    LAPACK does faster."""
    total = 0
    for node, weight in weighted_layers(Graph(model, is_copied=False)):
        taps = weight.size // len(weight)
        total += taps**2 * (len(weight) + groups_of(node) * taps // _BLAS_GAIN)
    return total


def tap_products(model: onnx.ModelProto) -> int:
    """Multiplications of one sample's sums over what the taps read."""
    total = 0
    for node, weight, made in _layers(model):
        taps = weight.size // len(weight)
        total += len(places(made // len(weight))) * groups_of(node) * taps**2
    return total


def products(model: onnx.ModelProto) -> int:
    """Multiplications of the layers with weights, for one sample."""
    return sum(made * (weight.size // len(weight)) for _, weight, made in _layers(model))


def _layers(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, Array, int]]:
    """Nodes with constant weights, those, and how many elements the node makes of one sample."""
    graph = Graph(model, is_copied=False)
    for node, weight in weighted_layers(graph):
        type_ = graph.type(node.output[0])
        if type_ is not None and type_.is_static:
            yield node, weight, math.prod(type_.static_shape)


def _means(value: Array, axis: int) -> Array:
    others = tuple(i for i in range(value.ndim) if i != axis % value.ndim)
    means: Array = value.mean(axis=others, dtype=np.float64)
    return means
