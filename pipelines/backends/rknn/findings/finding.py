"""What a suspect looks at, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from quant.report.build_json import BuildReport
from quant.report.bytes_report import BytesReport

# Share of the file below which bytes are no cause of its length.
NOTABLE = 0.05
ENDS = ("InputOperator", "OutputOperator")
CONVERSION = "exDataConvert"  # between two layers of different types

Row = Mapping[str, Any]


class Report(NamedTuple):
    """ledger: bytes.json, see pipelines.backends.rknn.file.ledger. build: build.json."""

    ledger: BytesReport
    build: BuildReport

    @property
    def nodes(self) -> list[Row]:
        """Rows of the network's nodes, those that are no node's left out."""
        return [row for row in self.ledger.nodes if row["node"] is not None]

    @property
    def layers(self) -> list[Row]:
        """Compiled layers: build.json's rows with `node`; inputs and outputs left out."""
        told, held = self.build.layers, self.ledger.layers
        rows = [{**row, "node": other["node"]} for row, other in zip(told, held, strict=True)]
        return [row for row in rows if row["op_type"] not in ENDS]

    def tensors(self, node: str | None) -> list[Row]:
        return [row for row in self.ledger.tensors if row["node"] == node]

    def share(self, size: int) -> float:
        """Part of the file."""
        return size / self.ledger.file_bytes

    def is_notable(self, size: int) -> bool:
        return self.share(size) >= NOTABLE


class Found(NamedTuple):
    """What a suspect comes to in one build. is_cause: false where it was suspected and is none.

    size_bytes: what it costs. evidence: the numbers behind `message`. because: the name of the
    cause of which this is a consequence.
    """

    message: str
    size_bytes: int
    evidence: Mapping[str, Any]
    nodes: Sequence[str] = ()
    is_cause: bool = True
    because: str | None = None


def dtype_of(report: Report) -> str | None:
    """The recipe's dtype; None of a file alone, and of a network that was quantized before."""
    if not report.build.config:
        return None
    told = report.build.config.get("quantized_dtype")
    if told is None:
        return None if report.ledger.is_integer else "float16"
    return str(told)


def kind(rows: Sequence[Row], *kinds: str) -> int:
    """Bytes of these kinds in some rows."""
    return sum(int(row["kinds"].get(one, 0)) for row in rows for one in kinds)


def names(rows: Sequence[Row]) -> list[str]:
    return [str(row["node"]) for row in rows]


def listed(all_names: Sequence[str], most: int = 4) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(f"`{name}`" for name in all_names[:most])
    more = len(all_names) - most
    return f"{shown} and {more} more" if more > 0 else shown


def counted(count: int, noun: str) -> str:
    """`1 layer`, `12 layers`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def megabytes(size: int) -> str:
    """`39.2 MB`, `62.7 KB`, `12 bytes`."""
    for unit, factor in (("MB", 10**6), ("KB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
