"""A TFLite network as plain data: tensors and operators, in the file's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.tflite.building.names import valid

Pads = tuple[tuple[int, int], tuple[int, int]]  # before and after, of height and of width


@dataclass(frozen=True)
class Tensor:
    """shape is what the file or LiteRT states; signature has -1 where a size is not fixed.

    data: the values of a constant, None for what the network computes.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: np.dtype[Any]
    data: NDArray[Any] | None = None

    def __str__(self) -> str:
        return f"`{self.name}` {self.dtype}{list(self.shape)} (tensor {self.index})"


@dataclass(frozen=True)
class Op:
    """One operator. inputs and outputs are tensor indices; -1 is an input left out.

    pads, dilations: of a convolution, where they are not the options'.
    """

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any
    pads: Pads | None = None
    dilations: tuple[int, int] | None = None


@dataclass(frozen=True)
class Graph:
    """One network. inputs and outputs: in the order of the file's signature, if it has one.

    aliases: the signature's own name of an input or output -> tensor index.
    """

    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    aliases: Mapping[str, int]

    @cached_property
    def consumers(self) -> Mapping[int, Sequence[Op]]:
        """Tensor index -> the operators that read it."""
        found: dict[int, list[Op]] = {}
        for op in self.ops:
            for index in op.inputs:
                found.setdefault(index, []).append(op)
        return found

    @cached_property
    def producers(self) -> Mapping[int, Op]:
        """Tensor index -> the operator that computes it."""
        return {index: op for op in self.ops for index in op.outputs}

    def is_constant(self, index: int) -> bool:
        """Whether a tensor is a constant of the file, float16 ones widened by an operator too."""
        if index < 0:
            return False
        return self.tensors[index].data is not None or index in self.widened

    @cached_property
    def widened(self) -> Mapping[int, int]:
        """Output of DEQUANTIZE -> the float16 constant that it widens."""
        return {
            op.outputs[0]: op.inputs[0]
            for op in self.ops
            if op.kind == "DEQUANTIZE" and self.tensors[op.inputs[0]].data is not None
        }

    def label(self, index: int) -> str:
        """What to call a tensor in ONNX; not yet unique."""
        return valid(self.tensors[index].name, index)

    def describe(self, op: Op) -> str:
        """An operator in words, for messages."""
        inputs = ", ".join(str(self.tensors[i]) for i in op.inputs if i >= 0)
        outputs = ", ".join(str(self.tensors[i]) for i in op.outputs)
        return f"TFLite operator {op.index} {op.kind} from {inputs or 'nothing'} to {outputs}"

    def with_shapes(self, shapes: Mapping[int, tuple[int, ...]]) -> Graph:
        """The same network with the shapes that LiteRT found; constants keep their own."""
        tensors = tuple(
            t if t.data is not None else replace(t, shape=shapes.get(t.index, t.shape))
            for t in self.tensors
        )
        return replace(self, tensors=tensors)
