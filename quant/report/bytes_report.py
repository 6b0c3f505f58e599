"""bytes.json: every byte of the files of a built target, the same form for every backend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from quant.fault import Fault

Row = Mapping[str, Any]


class BytesReport(NamedTuple):
    """Fields stand in the file in this order; `files` only where there are several.

    file_bytes, source_bytes: of the artifact, and of the network in ONNX before quantization.
    container: the artifact's format. weight_bits, is_integer: the width that the build asks for,
    and whether it asks for integers throughout.
    kinds: kind -> bytes; they add up to file_bytes. unexplained: the bytes of that kind.
    nodes: {node, op, bytes, kinds, ...}, the largest first; node None for bytes that are no node's.
    tensors, layers, outputs, rules: rows of a compiled file (see pipelines.backends.rknn.file.
    ledger), empty where the format has none.
    findings: what they say of the length.
    files: of several files, name -> {file_bytes, kinds, nodes} of each, the artifact first.
    """

    file_bytes: int
    source_bytes: int
    container: str
    weight_bits: int
    is_integer: bool
    kinds: Mapping[str, int]
    unexplained: int
    nodes: Sequence[Row]
    tensors: Sequence[Row] = ()
    layers: Sequence[Row] = ()
    outputs: Sequence[Row] = ()
    rules: Sequence[Row] = ()
    findings: Sequence[Row] = ()
    files: Mapping[str, Row] | None = None

    def by_file(self, artifact: str) -> Mapping[str, Row]:
        """Name -> {file_bytes, kinds, nodes} of every file. artifact: the only one's name."""
        own = {"file_bytes": self.file_bytes, "kinds": self.kinds, "nodes": self.nodes}
        return self.files or {artifact: own}


def to_json(report: BytesReport) -> str:
    """bytes.json."""
    data = {key: value for key, value in report._asdict().items() if value is not None}
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def from_json(text: str) -> BytesReport:
    """What `to_json` wrote. Raises Fault on a file that lacks something or has more."""
    data = json.loads(text)
    try:
        return BytesReport(**data)
    except TypeError:
        raise Fault("bytes.json is none: another npumake wrote it", "build it again") from None


def read(path: Path) -> BytesReport:
    """Of a file. Raises Fault, OSError."""
    return from_json(path.read_text(encoding="utf-8"))
