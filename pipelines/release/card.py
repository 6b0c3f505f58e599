"""MODEL_CARD.md of a release: of the recipe and of what was measured, nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.backends.table import BACKENDS
from pipelines.recipe.define.model import Input, Recipe, Samples, Target
from pipelines.report import summary


def text(root: Path, recipe: Recipe, manifest: Mapping[str, Any]) -> str:
    lines = [
        f"# {recipe.model} {manifest['version']}",
        "",
        recipe.description or "(the recipe has no description)",
        "",
        f"- source: {recipe.source.kind}, `{recipe.source.file}`",
        f"- calibration: {_data(recipe.calibration)}",
        f"- labelled data: {_labelled(recipe)}",
        f"- git revision {manifest['git']['revision']} of {manifest['git']['date']}",
        f"- recipe SHA-256 {manifest['recipe_sha256']}",
        "",
        "## Inputs",
        "",
        *_table(
            ("name", "shape", "type", "mean", "std", "colour"),
            (_input(name, one) for name, one in recipe.inputs.items()),
        ),
        "",
        "## Measured",
        "",
        "Of files by the SDK's simulator, or in integers on this machine, against onnxruntime in "
        "float. No board was used.",
        "",
        *_table(
            (
                *("target", "platform", "toolkit", "bytes", "ONNX bytes", "output error"),
                *("output cosine", "worst layer", "accuracy float", "accuracy built", "gates"),
            ),
            (_measured(root, recipe, target, manifest) for target in recipe.targets.values()),
        ),
    ]
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    yield _row(head)
    yield _row(["---"] * len(head))
    for row in rows:
        yield _row([cell.replace("|", "\\|") for cell in row])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _data(samples: Samples | None) -> str:
    if samples is None:
        return "none"
    held = samples.images or samples.list or samples.npy or samples.raw
    many = samples.samples
    return f"`{held}`" + (f", {many} samples" if many else "")


def _labelled(recipe: Recipe) -> str:
    return f"`{recipe.evaluate.inputs}`, {recipe.evaluate.metric}" if recipe.evaluate else "none"


def _input(name: str, told: Input) -> list[str]:
    numbers = ("-" if one is None else " ".join(map(str, one)) for one in (told.mean, told.std))
    shape = "-" if told.shape is None else "x".join(map(str, told.shape))
    return [f"`{name}`", shape, told.dtype, *numbers, told.color or "-"]


def _measured(root: Path, recipe: Recipe, target: Target, manifest: Mapping[str, Any]) -> list[str]:
    found = summary.read(root, recipe, target)
    assert found is not None, "released targets are analyzed"
    row, outputs = manifest["targets"][target.name], found.outputs
    return [
        target.name + (" (bad on purpose, for comparison)" if target.is_baseline else ""),
        target.platform or BACKENDS[target.backend].in_words,
        row.get("toolkit") or target.toolchain,
        f"{found.artifact_bytes:,}",
        f"{found.onnx_bytes:,}",
        _number(outputs.error, ".3%"),
        _number(outputs.cosine, ".6f"),
        _number(found.worst_cosine, ".6f"),
        _number(found.accuracy_float, ".2%"),
        _number(found.accuracy, ".2%"),
        _gates(target),
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _gates(target: Target) -> str:
    told = {name: limit for name, limit in vars(target.gates).items() if limit is not None}
    return ", ".join(f"{name} {limit} held" for name, limit in told.items()) or "none"
