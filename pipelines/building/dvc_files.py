"""Where the generated dvc.yaml files are, and whether they are those of the present recipes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pipelines.building import dvc_yaml
from pipelines.building.plan import Plan
from pipelines.files import atomic
from pipelines.record.step import Step

REGISTRY = "dvc.yaml"


def write_all(root: Path, plan: Plan, *, is_whole: bool = True) -> list[str]:
    """Write what is absent or older than its recipe. Returns the paths written.

    is_whole: the plan is of every model; else the registry, which tells of all, stays as it is,
    and so do the other models' files.
    """
    written = []
    memory = root / ".npumake" / "dvc_yaml.json"
    known = _known(memory)
    now = {} if is_whole else dict(known)
    for path, facts, make in _files(plan):
        if path == REGISTRY and not is_whole:
            continue
        now[path] = [facts, _digest(_read(root / path))]
        if known.get(path) == now[path]:  # YAML takes ten times as long as this
            continue
        text = make()
        if _read(root / path) != text:
            atomic.write(root / path, text.encode())
            written.append(path)
        now[path] = [facts, _digest(text)]
    if now != known:
        atomic.remember(memory, json.dumps(now).encode())
    return written


def is_current(root: Path, plan: Plan, step: Step) -> bool:
    """Whether the step's dvc.yaml is the one its recipe makes."""
    return _read(root / step.folder / "dvc.yaml") == dvc_yaml.model_text(plan.of(step.model))


def _files(plan: Plan) -> Iterator[tuple[str, str, Callable[[], str]]]:
    """Path, digest of all that its text is made from, and what makes it, of every dvc.yaml."""
    code = Path(dvc_yaml.__file__).read_text(encoding="utf-8")
    digests = []
    for model, recipe in plan.recipes.items():
        steps = list(plan.of(model))
        # repr of a step: all its fields but its jobs, which dvc.yaml doesn't tell.
        digests.append(_digest(f"{code}{steps}"))
        yield f"{recipe.folder}/dvc.yaml", digests[-1], partial(dvc_yaml.model_text, steps)
    told = [(recipe.description, list(recipe.targets.items())) for recipe in plan.recipes.values()]
    facts = _digest(f"{digests}{told}")
    yield REGISTRY, facts, partial(dvc_yaml.registry_text, plan)


def _known(memory: Path) -> dict[str, list[str]]:
    try:
        return dict(json.loads(memory.read_bytes()))
    except (OSError, ValueError):  # none yet, or damaged: it is only a memory
        return {}


def _digest(text: str | None) -> str:
    return hashlib.md5((text or "").encode(), usedforsecurity=False).hexdigest()


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
