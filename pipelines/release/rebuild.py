"""Building a model again in a clean folder: from its inputs alone, with no cache."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipelines.building.project import Project
from pipelines.files import unfinished
from pipelines.files.engine import CODE, PREFIX
from pipelines.record.step import Step

_SHARED = ("toolchains", "runtime")  # below .npumake: what was downloaded, no result of a step


@contextmanager
def clean_folder(project: Project, steps: Sequence[Step]) -> Iterator[Project]:
    """A project of one model, with copies of all that its steps read and no step makes."""
    made = {path for step in steps for path in step.outputs.values()}
    read = {path for step in steps for path in step.inputs.values()} - made
    with unfinished.folder_in(Path(tempfile.gettempdir()).resolve()) as root:
        engine = root / PREFIX
        shutil.copytree(CODE / "toolchains", engine / "toolchains")
        for path in sorted({*read, f"{steps[0].folder}/recipe.yaml"}):
            _copy(project.root / path, root / path)
        (root / ".npumake").mkdir(exist_ok=True)
        for shared in _SHARED:
            if (project.root / ".npumake" / shared).exists():
                (root / ".npumake" / shared).symlink_to(project.root / ".npumake" / shared)
        # Toolchains put folders of the engine on their path.
        (engine / "pipelines").symlink_to(CODE / "pipelines")
        # A cache of its own, whatever DVC's configuration of this machine or user says.
        (root / ".dvc" / "tmp").mkdir(parents=True)
        (root / ".dvc" / "config").write_text("[cache]\n    dir = cache\n    type = copy\n")
        again = Project(root)
        try:
            yield again
        finally:
            again.builder.close()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        # An input may stand inside another: model files beside a folder of images.
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif not target.exists():
        shutil.copy2(source, target)


def build(again: Project, model: str, tell: Callable[[Step], None]) -> None:
    """Run every step, in order. Raises worker.Failed."""
    again.builder.is_forced = True
    for step in again.plan.of(model):
        tell(step)
        again.builder.ensure(step)
