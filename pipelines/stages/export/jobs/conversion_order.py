"""The order in which tf2onnx visits the nodes of a graph: by their names, in every process.

tf2onnx 1.17.0 keeps nodes in sets, which Python orders by address, and names in sets, which it
orders by the seed of hashes. What its optimizers add is numbered in that order, and of equal nodes
or constants the first one's name stays: each process would write another file of one network.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from tf2onnx import tf_loader
from tf2onnx.graph import Graph, Node
from tf2onnx.optimizer.einsum_optimizer import EinsumSubOp


def order_by_name() -> None:
    """Let tf2onnx order by name what it holds in sets, for the rest of this process."""
    Graph.extract_sub_graph_nodes = _sorted(Graph.extract_sub_graph_nodes, _name)
    Graph.find_output_consumers = _sorted(Graph.find_output_consumers, _name)
    Node.get_implicit_inputs = _sorted(Node.get_implicit_inputs, str)
    # Other sets of nodes: their order is that of the hashes.
    Node.__hash__ = _hash
    # The order of functions, which are bodies of If and Loop: a set in the midst of a function.
    tf_loader.set = _SortedSet
    EinsumSubOp._onnx_name = _einsum_names()


class _SortedSet(set[Any]):
    """A set of names that is iterated in their order."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__()))


def _sorted(method: Callable[..., list[Any]], key: Callable[[Any], str]) -> Callable[..., Any]:
    @wraps(method)
    def ordered(*args: Any, **kwargs: Any) -> list[Any]:
        return sorted(method(*args, **kwargs), key=key)

    return ordered


def _name(node: Any) -> str:
    return str(node.name)


def _hash(node: Any) -> int:
    return zlib.crc32(node.name.encode())


def _einsum_names() -> Callable[[Any], str]:
    """Numbers for the parts of einsums, whose names would hold their addresses."""
    numbers = itertools.count()

    def name(part: Any) -> str:
        if not hasattr(part, "number"):
            part.number = next(numbers)
        return f"einsum{part.number}_{part.name[:2]}"

    return name
