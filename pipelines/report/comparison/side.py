"""One of two builds that are compared: a built target, an older one of the cache, or a file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.backends.rknn.file import inspection
from quant.fault import Fault
from quant.report import bytes_report, layer_error, target_metrics
from quant.report.layer_error import Row as Layer

Row = Mapping[str, Any]
Find = Callable[[str], Path | None]  # name below build/TARGET -> the file, where it is


@dataclass(frozen=True)
class Side:
    """What a comparison reads. Numbers are None, and mappings empty, where nothing was recorded.

    about: platform and the like. ends: name of an input or output -> what it is. layers: rows
    {tensor, op, shape, dtype, target, cycles, bytes, entire, single}. rules: rule -> how often it
    fired. findings: name -> message of each cause. errors: output -> error by its range,
    None where it is not finite.
    alone: what the compiled file tells without its network, which is less and other: None where
    this is that already, or the backend's file tells nothing.
    """

    name: str
    file_bytes: int
    about: Mapping[str, str]
    ends: Mapping[str, str]
    layers: tuple[Row, ...]
    kinds: Mapping[str, int]
    rules: Mapping[str, int] = field(default_factory=dict)
    findings: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, float | None] = field(default_factory=dict)
    cycles: int | None = None
    alone: Side | None = None
    is_alone: bool = False


def of_file(name: str, path: Path) -> Side:
    """A compiled file alone. Raises Fault, OSError."""
    told = inspection.inspect(path)
    ends = {
        f"{side} {one['name']}": f"{one['shape']} {one['dtype']} {one['layout']}"
        for side in ("input", "output")
        for one in told[f"{side}s"]
    }
    about = {key: str(told[key]) for key in ("platform", "toolkit", "container", "custom_string")}
    causes = {one["name"]: one["message"] for one in told["findings"] if one["is_cause"]}
    layers = tuple(_compiled(row) for row in told["layers"])
    return Side(
        name, told["file_bytes"], about, ends, layers, told["kinds"], findings=causes, is_alone=True
    )


def _compiled(row: Row) -> Row:
    return {
        **dict.fromkeys(("cycles", "bytes", "entire", "single")),
        "tensor": row["outputs"][0] if row["outputs"] else row["name"],
        **{key: row[key] for key in ("op", "shape", "dtype", "target")},
    }


def of_target(name: str, find: Find) -> Side | None:
    """What analyze recorded of a target; None where a part of it is absent."""
    layers, held_in, measured = (find(f"report/{n}.json") for n in ("layers", "bytes", "metrics"))
    built = find("build.json")
    if built is None or layers is None or held_in is None or measured is None:
        return None
    made, metrics = layer_error.read(layers), target_metrics.read(measured)
    held = bytes_report.read(held_in)
    build = _json(built)
    causes = [row for row in (*held.findings, *made.causes) if row["is_cause"]]
    artifact = find("model.rknn")
    base = of_file(name, artifact) if artifact is not None else None
    rows = {row.tensor: row for row in made.rows if row.tensor}
    return Side(
        name=name,
        file_bytes=held.file_bytes,
        about=base.about if base else {"backend": made.backend, **_options(build)},
        ends=base.ends if base else {f"output {output}": "" for output in metrics.outputs},
        layers=tuple(_measured(row, rows) for row in base.layers) if base else _alone(rows),
        kinds=held.kinds,
        rules=Counter(rule["rule"] for rule in build.get("rules", ())),
        findings={row["name"]: row["message"] for row in causes},
        errors={output: one["relative_error"] for output, one in metrics.outputs.items()},
        cycles=metrics.cycles,
        alone=base,
    )


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _options(build: Row) -> dict[str, str]:
    return {key: str(value) for key, value in build.get("options", {}).items()}


def _measured(row: Row, rows: Mapping[str, Layer]) -> Row:
    told = rows.get(row["tensor"])
    return {**row, **_numbers(told)} if told else row


def _alone(rows: Mapping[str, Layer]) -> tuple[Row, ...]:
    """Of a backend whose file says nothing more of its layers."""
    return tuple(
        {
            "shape": None,
            **{key: getattr(row, key) for key in ("tensor", "op", "dtype", "target")},
            **_numbers(row),
        }
        for row in rows.values()
    )


def _numbers(row: Layer) -> dict[str, Any]:
    """Cosines of a tensor that isn't finite are NaN's, told as -1: the worst there is."""
    return {
        "cycles": row.cycles,
        "bytes": row.size_bytes,
        **{
            key: None if one is None else one.cosine_worst if one.finite else -1.0
            for key, one in (("entire", row.entire), ("single", row.single))
        },
    }


def alike(a: Side, b: Side) -> tuple[Side, Side]:
    """Two sides that know the same: beside a file alone, a target's file alone.

    Kinds of bytes and findings would else differ by what is known of them. Raises Fault.
    """
    if a.is_alone == b.is_alone:
        return a, b
    of_both = [side if side.is_alone else side.alone for side in (a, b)]
    if of_both[0] is None or of_both[1] is None:
        raise Fault("a file of another backend is no .rknn", "name a target of the same backend")
    return of_both[0], of_both[1]
