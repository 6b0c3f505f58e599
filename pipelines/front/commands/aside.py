"""Steps outside the plan: nothing is recorded, and nothing is left."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipelines.building.project import Project
from pipelines.files import console
from pipelines.front.doit import on_cluster
from pipelines.record.step import Step, Work
from pipelines.run.toolchain.toolchain import Environments
from pipelines.run.worker import Failed


def one_job(
    work: Work,
    *,
    model: str,
    stage: str,
    outputs: Iterable[str],
    inputs: Mapping[str, str] | None = None,
    folder: str = "",
) -> Step:
    """A step of one job. model, stage: what its log is called by. inputs: paths may be absolute."""
    return Step(
        model=model,
        stage=stage,
        target=None,
        folder=folder,
        inputs=inputs or {},
        outputs=dict.fromkeys(outputs, ""),
        sections={},
        version_key="",
        version=0,
        toolchains=(work.toolchain,),
        work=lambda: (work,),
    )


@contextmanager
def run_aside(project: Project, step: Step) -> Iterator[Path | None]:
    """Make its toolchains and run it: the folder of its outputs, while the block runs.

    None, and why is told, where it failed.
    """
    if on_cluster.of(project) is None:
        Environments(project.root).make(step.toolchains)
    try:
        result = project.builder.worker.run(step, project.builder.log_of(step))
    except Failed as error:
        console.say(f"{step.name}: {error}", "red")
        yield None
        return
    try:
        yield result.out
    finally:
        shutil.rmtree(result.folder)
