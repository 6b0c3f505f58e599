"""What the inputs of a network of whole numbers may be."""

from __future__ import annotations

from collections.abc import Mapping

from quant.fault import Fault
from quant.graph.types import TensorType

INDEX_TYPES = ("int32", "int64")


def require_known(types: Mapping[str, TensorType]) -> None:
    """Raise Fault where there are none, or one holds neither reals nor indices."""
    if not types:
        raise Fault(
            "the network has no inputs", "export it with the inputs that its outputs depend on"
        )
    for name, type_ in types.items():
        if type_.dtype not in ("float32", *INDEX_TYPES):
            raise Fault(
                f"input `{name}` is {type_.dtype}",
                "inputs are float32, or int32 and int64 for indices",
            )
