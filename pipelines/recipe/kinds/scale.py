"""Factors of tensors: input_scale, and powers of two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from yaml.nodes import Node, ScalarNode

from pipelines.recipe.kinds.scalars import Integer
from pipelines.recipe.yaml.reading import Kind, Reader
from pipelines.recipe.yaml.scalars import scalar

FRACTIONS = tuple(1 / 2**n for n in range(1, 9))  # as quant.fixed_point.network.options takes them
WORDS = "a whole number, 1 or more; or 0.5, 0.25 and so on for inputs beyond 127"


@dataclass(frozen=True)
class InputScale(Kind):
    """Below 1 a power of two, down to 1/256."""

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        value = scalar(node) if isinstance(node, ScalarNode) else None
        if value in FRACTIONS:
            return value
        if isinstance(value, float):
            return reader.refuse(node, f"`{label}` can't be {node.value}", f"write {WORDS}")
        return Integer(1).read(node, label, reader)

    def words(self) -> str:
        return WORDS

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [Integer(1).schema(), {"enum": list(FRACTIONS)}]}


@dataclass(frozen=True)
class PowerOfTwo(Kind):
    """A number that scales a float without rounding it."""

    most: int = 16  # of the exponent, and below 1 of its negative

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        value = scalar(node) if isinstance(node, ScalarNode) else None
        if not isinstance(value, int | float) or isinstance(value, bool):
            return reader.wants(node, label, self)
        if value in self._all():
            return value
        what = f"`{label}` can't be {node.value}, which is no power of two"
        if not 0 < value < math.inf or abs(math.log2(value)) > self.most:
            return reader.refuse(node, f"`{label}` can't be {node.value}", f"write {self.words()}")
        near = 2.0 ** round(math.log2(value))
        return reader.refuse(node, what, f"write {near:g}, or another power of two")

    def _all(self) -> list[float]:
        return [2.0**n for n in range(-self.most, self.most + 1)]

    def words(self) -> str:
        return "a power of two, such as 256 or 0.5"

    def schema(self) -> dict[str, Any]:
        return {"enum": [int(one) if one >= 1 else one for one in self._all()]}
