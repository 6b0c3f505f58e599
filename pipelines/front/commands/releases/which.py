"""./doit which FILE|DIGEST: the model, revision and release that a built file comes from."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.backends.rknn.file import inspection
from pipelines.building.project import Project
from pipelines.files import console
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit.cli import FAILURE, STARTED_IN, UsageError
from pipelines.record.digest import md5_of
from pipelines.release.history import Build, History
from pipelines.release.versions import Version, versions

_DIGEST = re.compile(r"(?:npumake:)?([0-9a-f]{8,64})")
_MOST = 3  # commits told of one target


class Which(OwnCommand):
    name = "which"
    in_brief = "the model, commit and release a file comes from"
    doc_purpose = "tell which model, revision and release a built file, or its digest, comes from"
    doc_usage = "FILE|DIGEST"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("what", metavar="FILE|DIGEST")

    def act(self, arguments: argparse.Namespace) -> int:
        history = History(self.project.root)
        digest, builds = _found(arguments.what, history)
        if not builds:
            _tell_unknown(arguments.what, digest, history)
            return FAILURE
        console.tell(f"{arguments.what}: {digest or 'has no digest, and was found by its MD5'}")
        for line in _lines(self.project, builds, versions(self.project.root)):
            console.tell(line)
        return 0


def _found(what: str, history: History) -> tuple[str | None, list[Build]]:
    """The digest, and the builds that have it or made this very file."""
    path = STARTED_IN / what
    if path.is_file():
        digest = _digest_of(path)
        return digest, history.by_content(md5_of(path)) or (
            history.by_digest(digest) if digest else []
        )
    match = _DIGEST.fullmatch(what)
    if match is None:
        raise UsageError(
            f"`{what}` is no file, and no digest",
            "a digest is what ./doit inspect tells of an "
            ".rknn: 64 of 0-9 and a-f, or at least the first 8",
        )
    return match[1], history.by_digest(match[1])


def _digest_of(path: Path) -> str | None:
    """The digest that a file carries; None of another format than .rknn."""
    with path.open("rb") as file:
        if file.read(4) != b"RKNN":
            return None
    return inspection.digest_of(path)


def _tell_unknown(what: str, digest: str | None, history: History) -> None:
    console.say(f"{what}: no build that this repository tells of", "red")
    if digest:
        console.say(f"  digest {digest}")
    if history.unknown:
        console.say(
            f"  of {history.unknown} builds the digest is not known here: their build.json is in "
            "no cache (dvc fetch --all-commits)"
        )


def _lines(project: Project, builds: Sequence[Build], known: Sequence[Version]) -> Iterator[str]:
    """A paragraph a model and target."""
    for model, target in dict.fromkeys((b.model, b.target) for b in builds):
        own = [b for b in builds if (b.model, b.target) == (model, target)]
        yield f"{model}@{target}"
        if any(b.blob is None for b in own):
            yield "  here      as the present dvc.lock has it"
        commits = [commit for b in own for commit in b.commits]
        for commit in commits[:_MOST]:
            yield f"  revision  {commit.revision[:12]} {commit.date} {commit.subject}"
        if len(commits) > _MOST:
            yield f"            and {len(commits) - _MOST} earlier"
        if not commits:
            yield "  revision  none yet: not committed"
        for version in known:
            if version.name in (model, f"{model}/{target}") and _holds(
                project, version, model, own
            ):
                stages = f" ({', '.join(version.stages)})" if version.stages else ""
                yield f"  release   {version.tag}{stages}"


def _holds(project: Project, version: Version, model: str, builds: Sequence[Build]) -> bool:
    return version.lock_of(project.root, model) in {b.blob for b in builds} - {None}
