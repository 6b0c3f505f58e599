"""The compiled network in our own simulation, where it is the SDK's bit for bit.

It is held against the SDK's simulator for one sample in every run: another processor, toolkit or
operator may round otherwise. Where a single value differs, or something is not known, the reason is
said, and the SDK's own analysis has to run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.backends.rknn.analysis.end_to_end import Array, Outputs, Simulator
from pipelines.backends.rknn.analysis.error_analysis import Distance, Row
from pipelines.backends.rknn.analysis.spans import Spans
from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.sdk.samples import to_sdk
from quant.fault import Fault
from quant.samples.normalize import normalize
from quant.simulation import step1
from quant.simulation.distance import distances
from quant.simulation.network import Layers, Network
from quant.simulation.step1 import Step1
from quant.simulation.unknown import Unknown

EXACT = Distance(1.0, 0.0)


@dataclass(frozen=True)
class Analysis:
    """One sample: its rows as in error_analysis.txt, and the outputs."""

    rows: list[Row]
    outputs: Outputs


class Simulation:
    """Takes samples as stages.samples writes them, like Simulator."""

    def __init__(
        self,
        written: Step1,
        params: RknnParams,
        config: Mapping[str, Any],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        """config: what RKNN.config was given. shapes: output name -> shape that the SDK returns.

        Raises Unknown.
        """
        self._written = written
        self._params = params
        self._config = config
        self._shapes = shapes
        self._layers = Layers(written)
        self._network: Network | None = None
        self.spans = Spans()  # of every sample that `analysis` has seen

    def __call__(self, arrays: Sequence[Array]) -> Outputs:
        """Output name -> float32 array."""
        if self._network is None:
            self._network = Network(self._written)
        return self._named(list(self._network(self._feeds(arrays)).values()))

    def analysis(self, arrays: Sequence[Array]) -> Analysis:
        """All layers of one sample."""
        feeds = self._feeds(arrays)
        rows = [_input_row(name, feed) for name, feed in feeds.items()]
        outputs: dict[str, Array] = {}
        for layer in self._layers(feeds):
            self.spans.add(layer.tensor, layer.float)
            if layer.entire is None or layer.single is None:
                rows.append(Row(layer.op_type, layer.tensor, None, None))
                continue
            if layer.tensor in self._layers.graph.outputs:
                outputs[layer.tensor] = layer.entire
            if not layer.float.any():
                rows.append(Row(layer.op_type, layer.tensor, None, None, is_zero=True))
                continue
            entire, single = distances(layer.float, layer.entire, layer.single)
            rows.append(Row(layer.op_type, layer.tensor, Distance(*entire), Distance(*single)))
        made = [outputs[name] for name in self._layers.graph.outputs]
        return Analysis(rows, self._named(made))

    def _feeds(self, arrays: Sequence[Array]) -> Outputs:
        return feeds(self._layers.graph.inputs, arrays, self._params, self._config)

    def _named(self, made: Sequence[Array]) -> Outputs:
        for array, (name, shape) in zip(made, self._shapes.items(), strict=True):
            if array.size != math.prod(shape):
                raise Unknown(f"`{name}` is {list(array.shape)}, the SDK's {list(shape)}")
        return {
            name: array.reshape(shape)
            for array, (name, shape) in zip(made, self._shapes.items(), strict=True)
        }


def feeds(
    names: Iterable[str],
    arrays: Sequence[Array],
    params: RknnParams,
    config: Mapping[str, Any],
) -> Outputs:
    """As the SDK takes samples in: mean and std of an input that is not 4-D are ignored.

    names: the compiled network's inputs. config: what RKNN.config was given.
    """
    taken = {}
    for place, (name, array) in enumerate(zip(names, arrays, strict=True)):
        array = to_sdk(array, params).astype(np.float32)
        if array.ndim == 4:
            mean, std = (_of_input(config, f"{key}_values", place) for key in _KEYS)
            array = normalize(array, mean, std, 1)
        taken[name] = np.ascontiguousarray(array, dtype=np.float32)
    return taken


def _input_row(name: str, feed: Array) -> Row:
    if not feed.any():
        return Row("Input", name, None, None, is_zero=True)
    return Row("Input", name, EXACT, EXACT)


_KEYS = ("mean", "std")


def _of_input(config: Mapping[str, Any], key: str, place: int) -> list[float] | None:
    values = config.get(key)
    return values[place] if values else None


def opened(
    quantize: Path | None,
    params: RknnParams,
    sdk: Simulator,
    sample: Sequence[Array],
) -> tuple[Simulation, Analysis]:
    """The simulation, and what it makes of the one sample that it was held against.

    quantize: what step 1 wrote, None where one call made the file. Raises Unknown.
    """
    if quantize is None:
        raise Unknown("one call of the SDK makes this file, without a step 1")
    for key, value in (
        ("build.layers", params.build.layers),
        ("quantize.hybrid", params.quantize.hybrid),
        ("quantize.rknn_batch_size", params.quantize.rknn_batch_size),
    ):
        if value:
            raise Unknown(f"`{key}`")
    config = json.loads((quantize / "config.json").read_text())["config"]
    written = step1.read(quantize / "model.model", quantize / "model.quantization.cfg", config)
    theirs = sdk(sample)
    _require_outputs(written, theirs)
    shapes = {name: array.shape for name, array in theirs.items()}
    try:
        simulation = Simulation(written, params, config, shapes)
        analysis = simulation.analysis(sample)
    except Fault as fault:
        raise Unknown(fault.what) from fault
    _require_equal(theirs, analysis.outputs)
    return simulation, analysis


def _require_outputs(written: Step1, theirs: Outputs) -> None:
    ours = [value.name for value in written.model.graph.output]
    if ours != list(theirs):
        raise Unknown(f"outputs {', '.join(ours)} that the file calls {', '.join(theirs)}")


def _require_equal(theirs: Outputs, ours: Outputs) -> None:
    """Raises Unknown where an element of the one sample is not the SDK's."""
    for name, array in theirs.items():
        apart = int(np.count_nonzero(~_same(array, ours[name])))
        if apart:
            raise Unknown(f"{apart} of {array.size} values of `{name}` are not the SDK's")


def _same(one: Array, other: Array) -> Array:
    return np.asarray((one == other) | (np.isnan(one) & np.isnan(other)))
