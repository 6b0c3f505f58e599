"""./doit clean [NAME ...]: remove what steps made; the cache keeps it."""

from __future__ import annotations

import argparse
import shutil

from pipelines.building.project import Project
from pipelines.files import console
from pipelines.files.confined import link_above
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit.cli import steps_named
from pipelines.front.doit.run_lock import RunLock


class Clean(OwnCommand):
    name = "clean"
    in_brief = "remove what was built; --dry-run: tell what that is"
    doc_purpose = "remove what steps made; the next ./doit restores it from the cache"
    doc_usage = "[--dry-run] [--clean-dep] [MODEL|MODEL@TARGET|STEP ...]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "names", nargs="*", metavar="MODEL|MODEL@TARGET|STEP", help="default: every step"
        )
        parser.add_argument(
            *("-n", "--dry-run"), action="store_true", help="tell what would be removed"
        )
        parser.add_argument(
            *("-c", "--clean-dep"), action="store_true", help="of the steps before them too"
        )
        parser.add_argument("-a", "--clean-all", action="store_true", help="of every step")

    def act(self, arguments: argparse.Namespace) -> int:
        chosen = steps_named(self.project, [] if arguments.clean_all else arguments.names)
        if arguments.clean_dep:
            chosen = self.project.plan.with_dependencies(chosen)
        if arguments.dry_run:
            return _clean(self.project, chosen, is_dry=True)
        with RunLock(self.project.root):  # nothing that a run is about to use
            return _clean(self.project, chosen, is_dry=False)


def _clean(project: Project, chosen: set[str], is_dry: bool) -> int:
    steps = [step for step in project.plan.steps.values() if step.name in chosen]
    for path in (path for step in steps for path in sorted(step.outputs.values())):
        if not (place := project.root / path).exists() and not place.is_symlink():
            continue
        if (link := link_above(str(project.root), path)) is not None:
            console.say(f"{link} is a link: what it leads to is left alone", "yellow")
            continue
        console.tell(f"would remove {path}" if is_dry else f"removed {path}")
        if not is_dry:
            shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
    return 0
