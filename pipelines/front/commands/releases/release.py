"""./doit release: hand out a model, list what was handed out, or check an archive."""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

from pipelines.building.project import Project
from pipelines.files import console
from pipelines.front.commands.command import OwnCommand
from pipelines.front.commands.releases import releasing
from pipelines.front.doit.cli import FAILURE, STARTED_IN, UsageError, unknown
from pipelines.front.doit.run_lock import RunLock
from pipelines.release import check
from pipelines.release.versions import versions
from quant.sha256 import sha256_of

_NUMBER = re.compile(r"v?((?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*))")
_STAGE = re.compile(r"[a-z][a-z0-9-]*[a-z0-9]|[a-z]")


class Release(OwnCommand):
    name = "release"
    in_brief = "hand a model out as one archive; list, check"
    doc_purpose = "write dist/MODEL-VERSION.tar.gz of what is built, and tag it; list; check"
    doc_usage = "MODEL --version 1.2.0 [--stage prod] | --list | --check FILE"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("model", nargs="?", metavar="MODEL")
        parser.add_argument("--version", metavar="1.2.0", help="MAJOR.MINOR.PATCH")
        parser.add_argument("--stage", metavar="prod", help="put it in this stage too")
        parser.add_argument("--list", action="store_true", help="tell all releases (of MODEL)")
        parser.add_argument(
            *("--check",),
            metavar="FILE",
            help="hold an archive against its manifest, and against the tag where there is one",
        )

    def act(self, arguments: argparse.Namespace) -> int:
        if arguments.check:
            return _check(self.project, STARTED_IN / arguments.check)
        if arguments.list:
            return _list(self.project, arguments.model)
        return _release(self.project, arguments)


def _release(project: Project, arguments: argparse.Namespace) -> int:
    if not arguments.model or not arguments.version:
        raise UsageError(
            "a release has a model and a version", "./doit release MODEL --version 1.2.0"
        )
    number, stage = _NUMBER.fullmatch(arguments.version), arguments.stage
    if number is None:
        raise UsageError(f"`{arguments.version}` is no version", "MAJOR.MINOR.PATCH, as 1.2.0")
    if stage is not None and not _STAGE.fullmatch(stage):
        raise UsageError(f"`{stage}` is no stage", "a word of a-z, 0-9 and -, as prod")
    if broken := project.broken.get(arguments.model):
        raise broken
    recipe = project.recipes.get(arguments.model)
    if recipe is None:
        raise unknown("model", arguments.model, project.recipes, "models")
    with RunLock(project.root):  # no build puts others in the place of files that are read here
        place = releasing.release(project, recipe, number[1], stage)
    if place is None:
        return FAILURE
    console.tell(f"{place.relative_to(project.root)}  {place.stat().st_size:,} bytes")
    console.tell(f"SHA-256 {sha256_of(place)}")
    return 0


def _list(project: Project, model: str | None) -> int:
    rows = [["release", "stages", "commit", "archive"]]
    for one in versions(project.root):
        if "/" in one.name or model not in (None, one.name):
            continue
        archive = releasing.place_of(project, one.name, one.number)
        where = str(archive.relative_to(project.root)) if archive.is_file() else "not here"
        rows.append([one.tag, ", ".join(one.stages) or "-", one.commit[:12], where])
    if len(rows) == 1:
        console.tell("no releases yet")
    else:
        for line in console.table(rows):
            console.tell(line)
    return 0


def _check(project: Project, place: Path) -> int:
    try:
        found = check.check(place, project.root if shutil.which("git") else None)
    except OSError as error:
        raise UsageError(f"{place}: {error.strerror}", "name a .tar.gz of a release") from None
    for line in found.notes:
        console.tell(line)
    for line in found.wrong:
        console.say(f"wrong: {line}", "red")
    if not found.wrong:
        console.tell(f"{place.name}: {found.files} files are as they were released")
    return FAILURE if found.wrong else 0
