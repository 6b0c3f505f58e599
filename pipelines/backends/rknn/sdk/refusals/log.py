"""What the SDK prints while it compiles, read from its text.

The native compiler prints its tables to file descriptor 1 only, the Python half prints which
rewrite rules fired; neither is available otherwise. 2.2.0, 2.3.2 and 2.5.0 print them alike.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Shape = tuple[int, ...]


class Unreadable(ValueError):
    """A line of one of the SDK's tables that can't be read: the message quotes it."""


@dataclass(frozen=True)
class Layer:
    """One row of the layer table. A cut list of shapes (`,...`) ends in None.

    cycles are estimates at the NPU's clock. read_write_kb is what the layer moves.
    With compress_weight the SDK prints negative ones of either, and a total that leaves them out:
    cycles_total is then unknown, None.
    full_name is `OpType:name`, of the first operator that was fused into the layer; empty for one
    that the compiler made.
    """

    id: int
    op_type: str
    dtype: str
    target: str
    input_shapes: tuple[Shape | None, ...]
    output_shapes: tuple[Shape | None, ...]
    cycles_ddr: int
    cycles_npu: int
    cycles_total: int | None
    sparse_ratio: str | None
    read_write_kb: int
    full_name: str

    @property
    def name(self) -> str:
        """full_name without the operator's type."""
        return self.full_name.partition(":")[2]


@dataclass(frozen=True, kw_only=True)
class Constant:
    """One row of the table of constants: what layer `id` reads, and where it lies."""

    id: int
    user: str
    tensor: str
    dtype: str
    shape: Shape
    start: int
    end: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Feature(Constant):
    """One row of the table of feature tensors: an input of layer `id`."""

    data_format: str
    native_shape: Shape


@dataclass(frozen=True)
class Totals:
    """What the SDK says that the network needs. Hidden constants are not in it."""

    internal_bytes: int
    weight_bytes: int


@dataclass(frozen=True)
class Rule:
    """A rewrite that fired, with the names of the nodes that went and came."""

    rule: str
    removed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True)
class Compilation:
    """The tables of one run of the compiler (dynamic shapes and auto_hybrid run it repeatedly)."""

    layers: tuple[Layer, ...]
    features: tuple[Feature, ...]
    constants: tuple[Constant, ...]
    totals: Totals | None


@dataclass(frozen=True)
class Line:
    """One line of the log: its level (D, I, W or E, or empty) and what it says."""

    level: str
    text: str


ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
LEVEL = re.compile(r"(?P<level>[DIWE])(?:\s+RKNN: \[[\d:.]+\])?(?: (?P<text>.*)|$)")


def lines(text: str) -> list[Line]:
    """The log's lines without colours, times and overwritten progress bars."""
    found = []
    for raw in ANSI.sub("", text).split("\n"):
        shown = raw.rstrip("\r").rpartition("\r")[2]
        match = LEVEL.match(shown)
        if match:
            found.append(Line(match["level"], (match["text"] or "").rstrip()))
        else:
            found.append(Line("", shown.rstrip()))
    return found


def compilations(text: str) -> list[Compilation]:
    """Every run of the compiler in the log, in order. Raises Unreadable."""
    runs: list[list[Line]] = []
    for line in lines(text):
        if LAYER_HEADER.match(line.text):
            runs.append([])
        if runs:
            runs[-1].append(line)
    return [_compilation(run) for run in runs]


def rules(text: str) -> list[Rule]:
    """The rewrite rules that fired, in order. Only a verbose log has them."""
    found = []
    for line in lines(text):
        match = RULE.match(line.text) if line.level == "D" else None
        if match:
            added = match["added"] or "[]"
            found.append(Rule(match["rule"], _names(match["removed"]), _names(added)))
    return found


def warnings(text: str) -> list[str]:
    """What the SDK warns of, each sentence once, continuation lines joined."""
    return _messages(text, "W")


def errors(text: str) -> list[str]:
    """What the SDK prints as errors, each sentence once; many of them are harmless."""
    return _messages(text, "E")


RULE = re.compile(
    r"\s+(?P<rule>\w+): remove node = (?P<removed>\[.*?\])(?:, add node = (?P<added>\[.*\]))?$"
)


def _names(printed: str) -> tuple[str, ...]:
    try:
        names = ast.literal_eval(printed)
    except (SyntaxError, ValueError):
        raise Unreadable(f"not a list of names: {printed}") from None
    return tuple(str(name) for name in names)


def _messages(text: str, level: str) -> list[str]:
    found: list[str] = []
    inside = False
    for line in lines(text):
        if line.level == level:
            found.append(line.text.strip())
        elif inside and not line.level and line.text.startswith("  "):
            found[-1] += " " + line.text.strip()
            continue
        inside = line.level == level
    return [message for message in dict.fromkeys(found) if message]


LAYER_HEADER = re.compile(r"ID\s+OpType\s+DataType\s+Target\s+InputShape\s+OutputShape\s+Cycles")
SHAPE = r"\([\d,]*\)"
SHAPES = rf"\\|{SHAPE}(?:,{SHAPE})*(?:,\.\.\.)?"
# One expression serves every platform: SparseRatio (rk3576, rv1126b) is the only cell with a `%`,
# or, with compress_weight, a backslash.
LAYER = re.compile(
    r"(?P<id>\d+)\s+(?P<op_type>\S+)\s+(?P<dtype>\S+)\s+(?P<target>[NCG]PU)\s+"
    rf"(?P<inputs>{SHAPES})\s*(?P<outputs>{SHAPES})\s+"
    r"(?P<ddr>-?\d+)/(?P<npu>-?\d+)/(?P<total>-?\d+)\s+"
    r"(?:(?:(?P<sparse>[\d.]+%)|\\)\s+)?(?P<kb>-?\d+)(?:\s+(?P<name>\S.*)|)$"
)


def _compilation(run: Sequence[Line]) -> Compilation:
    layers = [_layer(row) for row in _rows(run, LAYER_HEADER)]
    features = [_feature(row) for row in _rows(run, FEATURE_HEADER)]
    constants = [_constant(row) for row in _rows(run, CONSTANT_HEADER)]
    if [layer.id for layer in layers] != list(range(len(layers))):
        raise Unreadable(f"layers are not numbered in order: {[layer.id for layer in layers]}")
    return Compilation(tuple(layers), tuple(features), tuple(constants), _totals(run))


def _rows(run: Sequence[Line], header: re.Pattern[str]) -> Iterator[str]:
    """The lines between a table's header and the rule under its last row."""
    place = next((i for i, line in enumerate(run) if header.match(line.text)), None)
    if place is None:
        return
    for line in run[place + 2 :]:
        if line.text.startswith("---"):
            return
        if not line.text.strip():
            raise Unreadable("a table of the SDK breaks off at an empty line")
        yield line.text


def _layer(row: str) -> Layer:
    match = _cells(LAYER, row, "layers")
    ddr, npu, total, kilobytes = (int(match[name]) for name in ("ddr", "npu", "total", "kb"))
    return Layer(
        id=int(match["id"]),
        op_type=match["op_type"],
        dtype=match["dtype"],
        target=match["target"],
        input_shapes=_shapes(match["inputs"]),
        output_shapes=_shapes(match["outputs"]),
        cycles_ddr=ddr,
        cycles_npu=npu,
        cycles_total=total if min(ddr, npu, total, kilobytes) >= 0 else None,
        sparse_ratio=match["sparse"],
        read_write_kb=kilobytes,
        full_name=match["name"] or "",
    )


def _shapes(printed: str) -> tuple[Shape | None, ...]:
    """`(1,3,8,8),(4)` as tuples; `,...` as a last None; a backslash is nothing."""
    shapes: list[Shape | None] = [_shape(one) for one in re.findall(SHAPE, printed)]
    return (*shapes, None) if printed.endswith("...") else tuple(shapes)


def _shape(printed: str) -> Shape:
    return tuple(int(length) for length in printed.strip("()").split(",") if length)


# Read from the right, where cells have no spaces: names of tensors may contain some, and float
# builds overrun the width of NativeShape, which shifts the row against its header.
# `*` stands between start and end where the memory is not reused in place.
PLACE = r"\|\s*0x(?P<start>[0-9a-f]+)[ *]0x(?P<end>[0-9a-f]+) 0x(?P<size>[0-9a-f]+)$"
USED = r"(?P<id>\d+)\s+(?P<user>\S+)\s+(?P<tensor>\S.*?)\s+(?P<dtype>[A-Z]+\d*)\s+"
CONSTANT_HEADER = re.compile(r"ID\s+User\s+Tensor\s+DataType\s+OrigShape")
CONSTANT = re.compile(rf"{USED}(?P<shape>{SHAPE})\s*{PLACE}")
FEATURE_HEADER = re.compile(r"ID\s+User\s+Tensor\s+DataType\s+DataFormat\s+OrigShape")
FEATURE = re.compile(rf"{USED}(?P<format>\S+)\s+(?P<shape>{SHAPE})\s*(?P<native>{SHAPE})\s*{PLACE}")


def _constant(row: str) -> Constant:
    return Constant(**_placed(_cells(CONSTANT, row, "constants")))


def _feature(row: str) -> Feature:
    cells = _cells(FEATURE, row, "features")
    form, native = cells["format"], _shape(cells["native"])
    return Feature(**_placed(cells), data_format=form, native_shape=native)


def _placed(cells: re.Match[str]) -> dict[str, Any]:
    """What both tables tell of a tensor, and where it lies."""
    return {
        "id": int(cells["id"]),
        **{name: cells[name] for name in ("user", "tensor", "dtype")},
        "shape": _shape(cells["shape"]),
        "start": int(cells["start"], 16),
        "end": int(cells["end"], 16),
        "size_bytes": int(cells["size"], 16),
    }


def _cells(pattern: re.Pattern[str], row: str, table: str) -> re.Match[str]:
    match = pattern.match(row)
    if not match:
        raise Unreadable(f"a row of the SDK's table of {table} can't be read: {row}")
    return match


TOTAL = re.compile(r"Total (Internal|Weight) Memory Size: ([\d.]+)(B|KB|MB)")
UNIT_BYTES = {"B": 1, "KB": 1024, "MB": 1024 * 1024}


def _totals(run: Sequence[Line]) -> Totals | None:
    found = {}
    for line in run:
        match = TOTAL.match(line.text)
        if match:
            found[match[1]] = round(float(match[2]) * UNIT_BYTES[match[3]])
    if not found:
        return None
    return Totals(internal_bytes=found["Internal"], weight_bytes=found["Weight"])
