"""A target's layers and bytes in the form that the page's charts and table read.

Columns, not rows: the names stand once, which keeps the page of 500 layers small.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from quant.report.layer_error import Row as Layer

Row = Mapping[str, Any]
_MOST_NODES = 3000  # of the ledger's; what is left is one row

COLUMNS = (
    *("id", "op", "name", "tensor", "dtype", "processor", "cycles", "bytes"),
    *("entire", "single", "is_finite"),
)


def columns(layers: Sequence[Layer]) -> dict[str, list[Any]]:
    """layers: rows of layers.json. entire, single: the lowest cosine of any sample, or None.

    is_finite: False where a tensor has NaN or infinities: its cosines are None then.
    """
    told = [_told(row) for row in layers]
    return {name: [row[name] for row in told] for name in COLUMNS}


def _told(row: Layer) -> dict[str, Any]:
    return {
        "id": row.id,
        "op": row.op,
        "name": row.name,
        "tensor": row.tensor,
        "dtype": row.dtype,
        "processor": row.target,
        "cycles": row.cycles,
        "bytes": row.size_bytes,
        "entire": row.entire and row.entire.cosine_worst,
        "single": row.single and row.single.cosine_worst,
        "is_finite": all(error is None or error.finite for error in (row.entire, row.single)),
    }


def ledgers(files: Mapping[str, Row]) -> dict[str, dict[str, Any]]:
    """File -> its bytes, kinds and nodes. A backend may make several."""
    return {name: _ledger(one) for name, one in files.items()}


Node = tuple[str | None, str | None, int, Mapping[str, int]]  # name, operator, bytes, kinds


def _ledger(one: Row) -> dict[str, Any]:
    nodes: list[Node] = [
        (row["node"], row["op"], row["bytes"], row["kinds"]) for row in one["nodes"]
    ]
    nodes += _of_no_node(one["kinds"], added(node[3] for node in nodes))
    nodes.sort(key=lambda node: -node[2])
    shown, rest = nodes[:_MOST_NODES], nodes[_MOST_NODES:]
    if rest:
        name = f"({len(rest)} smaller nodes)"
        shown.append((name, None, sum(node[2] for node in rest), added(node[3] for node in rest)))
    return {"bytes": one["file_bytes"], "kinds": dict(one["kinds"]), "nodes": shown}


def _of_no_node(kinds: Mapping[str, int], told: Mapping[str, int]) -> list[Node]:
    """What a ledger counts by kind alone, such as a file's structure: else bytes would be lost."""
    rest = {kind: size - told.get(kind, 0) for kind, size in kinds.items()}
    rest = {kind: size for kind, size in rest.items() if size}
    return [(None, None, sum(rest.values()), rest)] if rest else []


def added(several: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Kinds -> bytes of several nodes together."""
    total: dict[str, int] = {}
    for kinds in several:
        for kind, size in kinds.items():
            total[kind] = total.get(kind, 0) + size
    return total


def in_order(several: Iterable[Sequence[str | None]]) -> list[str]:
    """Tensors of several targets, each once, in the network's order.

    One that the first target lacks stands behind the one before it in its own target.
    """
    order: list[str] = []
    known: set[str] = set()
    for tensors in several:
        before: str | None = None
        for tensor in filter(None, tensors):
            if tensor not in known:
                order.insert(order.index(before) + 1 if before is not None else len(order), tensor)
                known.add(tensor)
            before = tensor
    return order
