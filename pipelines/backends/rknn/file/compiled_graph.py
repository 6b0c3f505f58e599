"""The layers of a compiled .rknn, as the other reports compare them; quant.rknn.file reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from quant.rknn import file as rknn_file
from quant.rknn.file import Operator

__all__ = ["CompiledFile", "Operator", "read"]


@dataclass(frozen=True)
class CompiledFile:
    """graphs: the operators of each subgraph (dynamic_input has several), in the log's order.

    inputs, outputs: names in the order of the network that was loaded.
    """

    graphs: tuple[tuple[Operator, ...], ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read(path: Path) -> CompiledFile:
    """Raises Fault."""
    file = rknn_file.read(path)
    return CompiledFile(file.graphs, file.inputs, file.outputs)
