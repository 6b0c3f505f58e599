"""Where the generated dvc.yaml files are, and whether they are those of the present recipes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines import atomic, dvc_yaml
from pipelines.plan import Plan
from pipelines.step import Step


def write_all(root: Path, plan: Plan) -> list[str]:
    """Write what is absent or older than its recipe. Returns the paths written."""
    written = []
    for path, text in _texts(plan):
        if _read(root / path) != text:
            atomic.write(root / path, text.encode())
            written.append(path)
    return written


def is_current(root: Path, plan: Plan, step: Step) -> bool:
    """Whether the step's dvc.yaml is the one its recipe makes."""
    return _read(root / step.folder / "dvc.yaml") == dvc_yaml.model_text(plan.of(step.model))


def _texts(plan: Plan) -> Iterator[tuple[str, str]]:
    for model, recipe in plan.recipes.items():
        yield f"{recipe.folder}/dvc.yaml", dvc_yaml.model_text(plan.of(model))
    yield "dvc.yaml", dvc_yaml.registry_text(plan.recipes)


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
