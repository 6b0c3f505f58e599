"""Attributes of a node with a window, such as a pooling."""

from __future__ import annotations

from typing import cast

import onnx

from quant.graph.graph import Graph, attribute


def numbers(node: onnx.NodeProto, name: str, default: list[int]) -> list[int]:
    return list(cast("list[int]", attribute(node, name, default)))


def text(node: onnx.NodeProto, name: str, default: str = "NOTSET") -> str:
    return str(attribute(node, name, default))


def kernel(node: onnx.NodeProto) -> list[int]:
    return numbers(node, "kernel_shape", [1])


def is_global(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether one window covers all."""
    found = graph.type(node.output[0])
    return found is not None and all(length == 1 for length in (found.shape or (0,))[2:])
