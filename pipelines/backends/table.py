"""All backends, by name: a new one is a folder here with a backend.py that makes a Backend."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from pipelines.recipe.define.definitions import Definitions
from pipelines.recipe.define.model import Recipe, Target
from pipelines.stages.backend import Backend, Trials
from pipelines.stages.stage import built

_DEFAULT = "rknn"  # of a target that names none


def _backends() -> dict[str, Backend]:
    """The default first, the others by name."""
    names = {file.parent.name for file in Path(__file__).parent.glob("*/backend.py")} - {_DEFAULT}
    modules = (
        import_module(f"{__package__}.{name}.backend") for name in (_DEFAULT, *sorted(names))
    )
    made = [one for each in modules for one in vars(each).values() if isinstance(one, Backend)]
    return {backend.keys.name: backend for backend in made}


BACKENDS = _backends()
DEFINITIONS = Definitions(backend.keys for backend in BACKENDS.values())


def artifact(recipe: Recipe, target: Target) -> str:
    """Path of the first of the target's artifacts, which reports count."""
    first = next(iter(BACKENDS[target.backend].artifacts(recipe, target).values()))
    return built(recipe, f"{target.name}/{first}")


def trials_of(target: Target) -> Trials:
    """How the doctor and `./doit tune` try variants of a target of a backend that has a way."""
    trials = BACKENDS[target.backend].trials
    assert trials is not None, target.backend
    return trials


def serving(command: str) -> list[str]:
    """Names of the backends whose targets that subcommand serves."""
    return [name for name, backend in BACKENDS.items() if command in backend.commands]
