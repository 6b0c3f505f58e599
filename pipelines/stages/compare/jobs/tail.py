"""What simplify cut off a network, run behind it: the outputs are then those of the whole again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.stages.compare.jobs.accuracy import Array, Network
from quant.execution.run import FloatRun
from quant.fault import Fault
from quant.graph.file import parse, read
from quant.graph.types import TensorType, input_types, output_types, shape_text
from quant.rewrites import divided


class Tail:
    """`divided`: what the program has to multiply again, see quant.rewrites.divided.

    Of a network that is whole it does nothing.
    """

    def __init__(self, inputs: Mapping[str, Path]) -> None:
        """inputs: the job's. tail: what was cut off; float: the whole, where there is one."""
        self.divided: dict[str, dict[str, Any]] = {}
        self._run: FloatRun | None = None
        if "tail" not in inputs:
            return
        model = read(inputs["tail"])
        self.divided = divided.read(model)
        self._run = FloatRun(model)
        self._takes = input_types(model)
        whole = parse(inputs["float"], "float") if "float" in inputs else model
        self._whole = list(output_types(whole))

    def behind(self, network: Network) -> Network:
        """The whole network's outputs, in its order, then those of the cut one."""
        run = self._run
        if run is None:
            return network

        def whole(arrays: Sequence[Array]) -> Mapping[str, Array]:
            heads = network(arrays)
            taken = {name: _taken(heads, name, type_) for name, type_ in self._takes.items()}
            made = {**heads, **run(taken)}
            names = [name for name in self._whole if name in made]
            return {name: np.asarray(made[name]) for name in dict.fromkeys((*names, *made))}

        return whole


def _taken(heads: Mapping[str, Array], name: str, type_: TensorType) -> Array:
    """An output as the tail takes it: a compiled network's may have other lengths of 1."""
    if name not in heads:
        raise Fault(f"the cut network gives no `{name}`, which its tail takes")
    array = np.asarray(heads[name])
    if type_.is_static:
        if array.size != np.prod(type_.static_shape, dtype=np.int64):
            raise Fault(
                f"output `{name}` is {shape_text(array.shape)}, and the tail takes "
                f"{shape_text(type_.shape)}"
            )
        array = array.reshape(type_.static_shape)
    return array.astype(type_.dtype)
