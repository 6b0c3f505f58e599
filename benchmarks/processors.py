"""On which processors a build is the same: its steps again, under qemu-user as other processors.

    .venv/bin/python -m benchmarks.processors [--project DIR] [--processors NAME,NAME] MODEL ...

Each model must be up to date: its outputs are this machine's. Every toolchain's Python is started
as `qemu-x86_64-static -cpu NAME`; analyze is left out. Each step is given what this machine made of
the steps before it: what differs is its own doing. Prints which files do.
Debian, Ubuntu: apt install qemu-user-static.
"""

from __future__ import annotations

import argparse
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from pipelines.building.project import Project
from pipelines.record.digest import md5_of
from pipelines.record.step import Step
from pipelines.release import rebuild
from pipelines.run.toolchain.toolchain import Environments
from pipelines.run.worker import Failed
from quant.rknn.leaks import environment

ROOT = Path(__file__).resolve().parent.parent
QEMU = "qemu-x86_64-static"


def wrapper(python: Path, processor: str, folder: Path) -> Path:
    """A program that is this Python on that processor."""
    made = folder / f"{processor}-{python.parent.parent.name}"
    made.write_text(f'#!/bin/sh\nexec {QEMU} -cpu {processor} {python} "$@"\n')
    made.chmod(made.stat().st_mode | stat.S_IXUSR)
    return made


def files(root: Path, path: str) -> Iterator[tuple[str, Path]]:
    place = root / path
    if place.is_dir():
        yield from ((f"{path}/{f.relative_to(place)}", f) for f in place.rglob("*") if f.is_file())
    elif place.exists():
        yield path, place


def others(project: Project, again: Project, step: Step) -> list[str]:
    """Files of a step whose bytes differ."""
    return sorted(
        name
        for path in step.outputs.values()
        for name, file in files(project.root, path)
        if not (again.root / name).is_file() or md5_of(again.root / name) != md5_of(file)
    )


def _bring_back(project: Project, again: Project, step: Step) -> None:
    """This machine's outputs in place of the other processor's."""
    for path in step.outputs.values():
        for name, file in files(project.root, path):
            (again.root / name).unlink(missing_ok=True)
            shutil.copyfile(file, again.root / name)


def _require_no_new_process(project: Project, step: Step) -> None:
    """Such a job becomes a new process, which the kernel would start on the real processor."""
    if step.target and step.stage == "build":
        platform = project.recipes[step.model].targets[step.target].platform
        assert not (platform and environment(platform)), step.name


def compare(project: Project, model: str, processor: str, folder: Path) -> dict[str, list[str]]:
    """Step -> files that differ; a step that failed has its error's first line."""
    steps = [step for step in project.plan.of(model) if step.stage != "analyze"]
    real = Environments.python
    found: dict[str, list[str]] = {}

    def python(self: Environments, name: str) -> Path:
        return wrapper(real(self, name).absolute(), processor, folder)

    with (
        patch.object(Environments, "python", python),
        rebuild.clean_folder(project, steps) as again,
    ):
        again.builder.is_forced = True
        for step in steps:
            _require_no_new_process(project, step)
            try:
                again.builder.ensure(step)
                found[step.name] = others(project, again, step)
                _bring_back(project, again, step)
                print(f"{processor}: {step.name}: {found[step.name] or 'identical'}", flush=True)
            except Failed as error:
                found[step.name] = [f"failed: {str(error).splitlines()[0]}"]
                break
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--project", type=Path, default=ROOT)
    parser.add_argument("--processors", default="Haswell,SandyBridge")
    arguments = parser.parse_args()
    project = Project(arguments.project.resolve())
    with tempfile.TemporaryDirectory() as name:
        for model in arguments.models:
            for processor in arguments.processors.split(","):
                found = compare(project, model, processor, Path(name))
                differ = sum(map(bool, found.values()))
                print(f"{model} on {processor}: {differ} of {len(found)} steps differ", flush=True)


if __name__ == "__main__":
    main()
