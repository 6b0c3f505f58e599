"""--cluster ADDRESS: who carries out the steps of a command line."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, cast

from pipelines.building.project import Project
from quant.fault import Fault

if TYPE_CHECKING:  # asyncio takes longer to import than a run with nothing to do
    from pipelines.building.cluster.front import ClusterWorker

OPTION = "--cluster"
_FORMS = "give a scheduler's address (10.0.0.1:8786), or local:N for N workers on this machine"


def without(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """The arguments without the option, and its value. Raises Fault."""
    kept, address = [], None
    words = iter(arguments)
    for word in words:
        name, is_joined, value = word.partition("=")
        if name != OPTION:
            kept.append(word)
            continue
        address = value if is_joined else next(words, "")
        number = address.removeprefix("local:")
        is_local = number != address
        if not address or address.startswith("-") or (is_local and not _is_count(number)):
            raise Fault(f"{OPTION} {address}".rstrip() + " names no cluster", _FORMS)
    return kept, address


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) <= 1000


def use(project: Project, address: str) -> None:
    """Have the project's steps run there. No connection is made before one has to."""
    from pipelines.building.cluster.front import ClusterWorker

    builder = project.builder
    builder.worker.close()
    builder.worker = ClusterWorker(project.root, address, builder.contents, builder.store)


def of(project: Project) -> ClusterWorker | None:
    """What runs the project's steps, where that is a cluster."""
    worker = project.builder.worker
    return cast("ClusterWorker", worker) if worker.is_elsewhere else None


def run_here(project: Project, steps: Collection[str]) -> Collection[str]:
    """Of some steps, those that this machine runs itself."""
    if of(project) is None:
        return steps
    from pipelines.building.cluster.order import AT_HOME

    return [name for name in steps if project.plan.steps[name].stage in AT_HOME]
