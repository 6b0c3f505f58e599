"""All that a model's page tells, as JSON data: the templates and charts read nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.files.engine import CODE
from pipelines.recipe.define.model import Recipe
from pipelines.report.page import graph_change, layers, target_page
from pipelines.stages.stage import built
from quant.fault import Fault
from quant.graph.file import parse
from quant.sha256 import sha256_of


def make(
    root: Path, recipe: Recipe, stale: Mapping[str, Sequence[str]], toolchains: Iterable[str]
) -> dict[str, Any]:
    """stale: target -> why its reports are not of the present recipe, see target_page.make.

    toolchains: names of those that the model's steps run in.
    """
    targets = [
        target_page.make(root, recipe, target, stale.get(target.name, ()))
        for target in recipe.targets.values()
    ]
    done = [target for target in targets if target["is_built"]]
    longest = sorted(done, key=lambda target: -len(target["layers"]["tensor"]))
    return {
        "model": recipe.model,
        "description": recipe.description,
        "targets": targets,
        "order": layers.in_order(target["layers"]["tensor"] for target in longest),
        "simplify": _simplify(root, recipe),
        "recipe_file": recipe.file,
        "recipe": (root / recipe.file).read_text(encoding="utf-8"),
        "toolchains": _toolchains(toolchains),
    }


def _simplify(root: Path, recipe: Recipe) -> dict[str, Any] | None:
    """What changed, in words and as drawn regions; None where simplify has not run."""
    folder = root / built(recipe, "simplify")
    if not (folder / "changes.json").is_file():
        return None
    changes = json.loads((folder / "changes.json").read_text(encoding="utf-8"))
    return {
        "changes": changes,
        "operators": _operators(changes["operators"]),
        "graph": _graph(root / built(recipe, "export/model.onnx"), folder / "model.onnx"),
    }


def _graph(before: Path, after: Path) -> dict[str, Any] | None:
    if not (before.is_file() and after.is_file()):
        return None
    try:
        return graph_change.make(parse(before, before.name), parse(after, after.name))
    except Fault:  # the page tells the rest all the same
        return None


def _operators(counts: Mapping[str, Mapping[str, int]]) -> list[tuple[str, int, int]]:
    """(operator, before, after) of those whose number changed, the largest change first."""
    before, after = counts["before"], counts["after"]
    rows = [(op, before.get(op, 0), after.get(op, 0)) for op in sorted({*before, *after})]
    return sorted((row for row in rows if row[1] != row[2]), key=lambda row: -abs(row[1] - row[2]))


def _toolchains(names: Iterable[str]) -> list[dict[str, str]]:
    """Each with the digest of its pins, which says exactly what is in it."""
    return [
        {"name": name, "pins": sha256_of(CODE / "toolchains" / f"{name}.txt")}
        for name in sorted(set(names))
    ]
