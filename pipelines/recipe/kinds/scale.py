"""input_scale: a whole number, or 1/2, 1/4 ... for inputs beyond 127."""

from __future__ import annotations

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
