"""Every byte of a compiled file, by kind and by the node of the network that it is there for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

KINDS = {
    "payload": "the network's own numbers, at the width that the build asks for (int8: one byte)",
    "widening": "what these and the next two take beyond that: biases in INT32, constants in float",
    "channel_scales": "multiplier and shift of each output channel, beside an INT32 bias",
    "zero_fill": "numbers that the network does not have: grouped weights made dense",
    "copies": "one number of the network's written out many times, where an operator needs that",
    "compiler_constant": "constants of the compiler's own, such as weights for pooling or Concat",
    "alignment": "padding, inside a tensor to the NPU's blocks of channels and between tensors",
    "commands": "register commands: what the NPU is told to do, layer by layer",
    "tasks": "the list of tasks, 40 bytes each, that point to the commands",
    "metadata": "header, names, shapes, attributes, and tables of addresses in the commands",
    "unexplained": "bytes that nothing that could be read accounts for",
}


class LedgerError(AssertionError):
    """A ledger that does not add up; never to be caught."""


class LedgerEntry(NamedTuple):
    """Bytes of one kind. node: of the network that was loaded, None where they are no node's.

    offset: of the tensor whose data they are part of; several graphs may hold tensors of one name.
    """

    kind: str
    size_bytes: int
    node: str | None = None
    tensor: str | None = None
    offset: int | None = None


class Ledger:
    """entries: in any order. file_bytes: what they must add up to."""

    def __init__(self, file_bytes: int, entries: Sequence[LedgerEntry]) -> None:
        """Raises LedgerError where they do not."""
        unknown = {entry.kind for entry in entries} - set(KINDS)
        if unknown:
            raise LedgerError(f"kinds that nobody explains: {', '.join(sorted(unknown))}")
        if any(entry.size_bytes < 0 for entry in entries):
            raise LedgerError("an entry takes less than nothing")
        total = sum(entry.size_bytes for entry in entries)
        if total != file_bytes:
            raise LedgerError(f"the ledger adds up to {total:,} bytes, the file has {file_bytes:,}")
        self.file_bytes = file_bytes
        self.entries = entries

    def kinds(self) -> dict[str, int]:
        """Bytes of every kind, those of none included."""
        counted = _counted(self.entries)
        return {kind: counted.get(kind, 0) for kind in KINDS}

    def nodes(self) -> list[dict[str, Any]]:
        """Rows {node, bytes, kinds, tensors}, the largest first; one has node None."""
        groups: dict[str | None, list[LedgerEntry]] = {}
        for entry in self.entries:
            groups.setdefault(entry.node, []).append(entry)
        rows = [_node(name, entries) for name, entries in groups.items()]
        return sorted(rows, key=lambda row: (-row["bytes"], row["node"] or ""))

    def tensors(self) -> dict[tuple[str, int | None], dict[str, int]]:
        """Tensor and offset -> kind -> bytes."""
        groups: dict[tuple[str, int | None], list[LedgerEntry]] = {}
        for entry in self.entries:
            if entry.tensor is not None:
                groups.setdefault((entry.tensor, entry.offset), []).append(entry)
        return {key: _counted(entries) for key, entries in groups.items()}


def _node(name: str | None, entries: Sequence[LedgerEntry]) -> dict[str, Any]:
    return {
        "node": name,
        "bytes": sum(entry.size_bytes for entry in entries),
        "kinds": _counted(entries),
        "tensors": sorted({entry.tensor for entry in entries if entry.tensor is not None}),
    }


def _counted(entries: Sequence[LedgerEntry]) -> dict[str, int]:
    """Kind -> bytes, in the order of KINDS, kinds of no bytes left out."""
    counted = dict.fromkeys(KINDS, 0)
    for entry in entries:
        counted[entry.kind] += entry.size_bytes
    return {kind: size for kind, size in counted.items() if size}


def split(needs: Mapping[str, int], room: int, rest: str) -> dict[str, int]:
    """Give each kind what it needs, in order, while there is room; what is left is of kind `rest`.

    Compressed data has less room than its numbers need.
    """
    found: dict[str, int] = {}
    for kind, need in needs.items():
        found[kind] = min(max(need, 0), room)
        room -= found[kind]
    found[rest] = found.get(rest, 0) + room
    return {kind: size for kind, size in found.items() if size}
