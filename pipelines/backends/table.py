"""All backends, by name. A new one is a folder here, and an entry; the first is the default."""

from __future__ import annotations

from pipelines.backends.fixed_point.backend import FIXED_POINT
from pipelines.backends.rknn.backend import RKNN
from pipelines.recipe.define.definitions import Definitions
from pipelines.recipe.define.model import Recipe, Target
from pipelines.stages.backend import Backend
from pipelines.stages.stage import built

_ALL = (RKNN, FIXED_POINT)
BACKENDS: dict[str, Backend] = {backend.keys.name: backend for backend in _ALL}
DEFINITIONS = Definitions(backend.keys for backend in _ALL)


def artifact(recipe: Recipe, target: Target) -> str:
    """Path of the first of the target's artifacts, which reports count."""
    first = next(iter(BACKENDS[target.backend].artifacts(recipe, target).values()))
    return built(recipe, f"{target.name}/{first}")


def serving(command: str) -> list[str]:
    """Names of the backends whose targets that subcommand serves."""
    return [name for name, backend in BACKENDS.items() if command in backend.commands]
