"""Which node of a network a log was at last: what a process that died leaves to be told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

# As the SDK prints names: in lists of rewrites, of what a rule matched, and in its table of layers.
_QUOTED = re.compile(r"'([^']+)'")
_NAMED = re.compile(r"^(?:Op name: |.*\s\w+:)(\S+)\s*$")
_CONVERSION = "exDataConvert"  # to another type, of what a node makes: no node of the user
_NETWORKS = ("model.onnx", "quantize/model.model")


def last_node(log: str, inputs: Path) -> str:
    """`Resize `up`` of the network in a step's `inputs`; empty where none is named, or readable."""
    nodes = _nodes(inputs)
    for line in reversed(log.splitlines()) if nodes else ():
        for name in reversed([*_names(line)]):
            if name in nodes:
                return nodes[name]
    return ""


def _names(line: str) -> Iterator[str]:
    found = [*_QUOTED.findall(line), *(match[1] for match in [_NAMED.match(line)] if match)]
    for name in found:
        yield name
        yield name.partition("#")[0]  # `up#1` is what a rewrite made of `up`


def _nodes(inputs: Path) -> dict[str, str]:
    """Name of a node, and of what it makes -> how to call it. onnx takes half a second to import,
    and only a crash needs it here.
    """
    from quant.fault import Fault
    from quant.graph.file import parse
    from quant.graph.operators import label, operator

    for place in _NETWORKS:
        try:
            graph = parse(inputs / place, place).graph
        except (Fault, OSError):
            continue
        makers = {name: node for node in graph.node for name in node.output if name}
        own = {
            label(node): node if operator(node) != _CONVERSION else makers.get(node.input[0], node)
            for node in graph.node
        }
        called = {name: f"{_plain(operator(node))} `{label(node)}`" for name, node in own.items()}
        return {**{name: called[label(node)] for name, node in makers.items()}, **called}
    return {}


def _plain(op: str) -> str:
    """`LSTM` of the SDK's own `exLSTM`, which has the name of the user's node."""
    return op[2:] if re.match("ex[A-Z]", op) else op
