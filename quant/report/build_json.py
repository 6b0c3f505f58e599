"""build.json of an .rknn: what the SDK printed while it compiled. One writer, one reader."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from quant.fault import Fault

Row = Mapping[str, Any]
_NOTHING: Row = {}


class BuildReport(NamedTuple):
    """Fields stand in the file in this order; a file alone tells of its layers and outputs.

    toolkit, platform: versions and names of what built it. size_bytes: of model.rknn; `bytes` in
    the file.
    layers, features, constants, totals: the compiler's tables, see sdk.refusals.log of rknn;
    for dynamic_input those of the largest shape. other_shapes: the same four for each further one.
    outputs: for each layer, in order: the names of the tensors that it makes.
    rules: rewrites that fired: {rule, removed, added}. left_out: rules of the SDK that fail on the
    network and were disabled for it: {rule, node, error}.
    hybrid: tensor -> dtype, as the recipe asks (build.layers).
    warnings, errors: sentences; errors are those that the SDK printed and went on after.
    config, load: arguments of the SDK's config and load_*.
    origin: {digest, of}: the digest that the file carries as its custom string, and what it is of
    (see pipelines.backends.rknn.sdk.origin); None where the recipe has a `custom_string` itself.
    """

    toolkit: str = ""
    platform: str = ""
    size_bytes: int = 0
    layers: Sequence[Row] = ()
    features: Sequence[Row] = ()
    constants: Sequence[Row] = ()
    totals: Row | None = None
    other_shapes: Sequence[Row] = ()
    outputs: Sequence[Sequence[str]] = ()
    rules: Sequence[Row] = ()
    left_out: Sequence[Row] = ()
    hybrid: Mapping[str, str] = _NOTHING
    warnings: Sequence[str] = ()
    errors: Sequence[str] = ()
    config: Row = _NOTHING
    load: Row = _NOTHING
    origin: Row | None = None

    @property
    def made(self) -> list[tuple[Row, Sequence[str]]]:
        """Each layer with the tensors that it makes."""
        return list(zip(self.layers, self.outputs, strict=True))


_NAMES = {"size_bytes": "bytes"}  # field -> key, where they differ
_KEYS = {one: _NAMES.get(one, one) for one in BuildReport._fields}


def to_json(report: BuildReport) -> str:
    """build.json."""
    data = {key: getattr(report, name) for name, key in _KEYS.items()}
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def from_json(text: str) -> BuildReport:
    """What `to_json` wrote. Raises Fault on a file that lacks something: of an older build."""
    data = json.loads(text)
    if absent := [key for key in _KEYS.values() if key not in data]:
        raise Fault(f"build.json lacks `{absent[0]}`: an older npumake wrote it", "build it again")
    return BuildReport(**{name: data[key] for name, key in _KEYS.items()})


def read(path: Path) -> BuildReport:
    """Of a file. Raises Fault, OSError."""
    return from_json(path.read_text(encoding="utf-8"))
