"""*.dvc files: inputs that DVC keeps, and git has a few lines of."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.files import confined, console
from pipelines.files.confined import Refused
from pipelines.record.digest import Content

_MEANT = {"path", "md5", "hash", "size", "nfiles", "isexec", "cache", "persist", "desc", "type"}
_MEANT |= {"labels", "meta", "push"}


@dataclass(frozen=True)
class Tracked:
    """file: the *.dvc file; path: what it describes. Both are relative to the project."""

    file: str
    path: str
    content: Content


def missing(root: Path, models: Sequence[str] | None) -> list[Tracked]:
    """What *.dvc files of these models and of no model describe, and is not there.

    models: names or wildcards; None for all. What is refused is told, and left out.
    """
    found = []
    for file in _files(root, models):
        try:
            found += [each for each in _read(root, file) if not (root / each.path).exists()]
        except Refused as error:
            console.say(f"{file.relative_to(root)} is not used: {error}", "yellow")
    return found


def _files(root: Path, models: Sequence[str] | None) -> Iterator[Path]:
    for file in sorted(root.rglob("*.dvc")):
        parts = file.relative_to(root).parts
        if any(part.startswith(".") or part == "build" for part in parts) or not file.is_file():
            continue
        if models is None or parts[0] != "models" or _is_chosen(parts[1], models):
            yield file


def _is_chosen(model: str, chosen: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(model, name) for name in chosen)


def _read(root: Path, file: Path) -> list[Tracked]:
    """Raises Refused on a file that is not DVC's, or that a plain `dvc add` does not write."""
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
        more = sorted(data.keys() & {"deps", "wdir", "cmd"})
        outs = [dict(out) for out in data["outs"]]
        more += sorted({str(key) for out in outs for key in out} - _MEANT)
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"not a file of DVC's ({error!r})") from error
    if more:  # an import, another remote, versions of a cloud: DVC knows how
        raise Refused(f"`{more[0]}` is more than ./doit --pull reads\n  dvc pull {file.name}")
    folder = file.parent.relative_to(root).as_posix()
    return [_tracked(root, file.relative_to(root).as_posix(), folder, out) for out in outs]


def _tracked(root: Path, file: str, folder: str, out: Mapping[str, Any]) -> Tracked:
    if out.get("hash") != "md5":
        raise Refused("an earlier DVC wrote it; write it anew with `dvc add`")
    path = f"{folder}/{confined.require_below(out.get('path'))}".removeprefix("./")
    if (link := confined.link_above(str(root), path)) is not None:
        raise Refused(f"{link} is a link")
    md5, size = confined.require_md5(out.get("md5")), out.get("size", 0)
    content = Content(md5, confined.require_count(size), out.get("nfiles"), bool(out.get("isexec")))
    return Tracked(file, path, content)
