"""Holding an archive against what it says of itself, and against the repository where there is one.

The archive alone: every file by MANIFEST.json and SHA256SUMS, outputs by its dvc.lock, the digest
in each .rknn, the bill of materials. Whoever changes all of these together is found by the tag
alone, which has the archive's SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.backends.rknn.file import origin_text
from pipelines.dvc import lock
from pipelines.dvc.repo import cache
from pipelines.files.confined import Refused
from pipelines.files.git import git
from pipelines.record.digest import Content, md5_of
from pipelines.release import manifest, opened, tags
from pipelines.release.opened import Member
from pipelines.release.versions import versions
from quant.fault import Fault
from quant.rknn import file as rknn_file
from quant.rknn import texts as rknn_texts
from quant.rknn.flatbuffer import Damaged
from quant.sha256 import sha256_of

_BILL, _LOCK, _RECIPE = "sbom.cdx.json", "dvc.lock", "recipe.yaml"
_MOST_KEPT = 512 << 20
_ODD = (KeyError, TypeError, AttributeError, ValueError)


@dataclass
class Found:
    """wrong: a sentence each, which names the file. notes: what could not be checked."""

    files: int = 0
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check(place: Path, root: Path | None) -> Found:
    """root: of a checkout; None for the archive alone. Raises Fault as opened.read, and OSError."""
    _, members = opened.read(place, _is_kept)
    found = Found(len(members))
    told = _json(members, manifest.NAME, found)
    if told is None:
        return found
    try:
        found.wrong += _listed(members, told)
        found.wrong += _stamps(members, told)
        found.wrong += _locked(members, str(told["model"]))
        found.wrong += _billed(members)
        if members[_RECIPE].sha256 != told["recipe_sha256"]:
            found.wrong.append(f"{_RECIPE}: {manifest.NAME} has another SHA-256 of it")
    except _ODD as error:
        found.wrong.append(f"{manifest.NAME} lacks a part or has an odd one: {error!r}")
        return found
    if root is not None:
        _by_repository(place, members, told, root, found)
    return found


def _is_kept(name: str, length: int) -> bool:
    is_read = name.endswith((".rknn", "/build.json")) or "/" not in name
    return is_read and length <= _MOST_KEPT


def _json(members: Mapping[str, Member], name: str, found: Found) -> Any:
    if name not in members:
        found.wrong.append(f"{name} is missing: this is no release of npumake")
        return None
    try:
        return json.loads(members[name].kept or b"")
    except ValueError:
        found.wrong.append(f"{name} is damaged: no JSON")
        return None


def _listed(members: Mapping[str, Member], told: Mapping[str, Any]) -> Iterator[str]:
    """Files that are not those that both lists have."""
    rows = {name: str(row["sha256"]) for name, row in told["files"].items()}
    sums = dict(_sums(members))
    for name in sorted({*rows, *sums, *members} - {manifest.SUMS}):
        held = members[name].sha256 if name in members else None
        by = [
            where
            for where, digest in ((manifest.NAME, rows.get(name)), (manifest.SUMS, sums.get(name)))
            if digest != held and not (where == name == manifest.NAME)
        ]
        if held is None:
            yield f"{name} is missing"
        elif by == [manifest.NAME] and name not in rows:
            yield f"{name} is in no {manifest.NAME}"
        elif by:
            yield f"{name} is not the file that {' and '.join(by)} list{'s' * (len(by) == 1)}"


def _sums(members: Mapping[str, Member]) -> Iterator[tuple[str, str]]:
    held = members.get(manifest.SUMS)
    for line in (held.kept or b"").decode("utf-8", "replace").splitlines() if held else ():
        digest, _, name = line.partition("  ")
        yield name, digest


def _stamps(members: Mapping[str, Member], told: Mapping[str, Any]) -> Iterator[str]:
    """The digest in each .rknn: build.json's, and what that one is of."""
    for target, row in told["targets"].items():
        for name in row["artifacts"]:
            if name.endswith(".rknn") and name in members:
                report = f"{target}/build.json"
                yield from _stamp(members[name], name, members[report], report, row["digest"])


def _stamp(
    file: Member, name: str, build: Member, report: str, expected: str | None
) -> Iterator[str]:
    try:
        text = rknn_texts.texts(rknn_file.parse(file.kept or b"", name))["custom_string"]
    except (Fault, Damaged) as error:
        yield f"{name} is damaged: {error}"
        return
    origin = json.loads(build.kept or b"")["origin"]
    digest = origin_text.digest_in(text)
    if digest != expected:
        yield f"{name} carries another digest than {manifest.NAME} has"
    if digest != (origin and origin["digest"]):
        yield f"{name} carries another digest than {report} has"
    if origin and origin_text.digest_of(origin["of"]) != origin["digest"]:
        yield f"{report}: its digest is not that of what it says the file is made from"


def _locked(members: Mapping[str, Member], model: str) -> Iterator[str]:
    text = (members[_LOCK].kept or b"").decode("utf-8", "replace")
    try:
        outs = lock.outs_in(text, f"models/{model}")
    except (Refused, *_ODD) as error:
        yield f"{_LOCK} is damaged: {error}"
        return
    for path, content in outs.items():
        name = path.removeprefix(f"models/{model}/build/")
        if name in members and members[name].md5 != content.md5:
            yield f"{name} is not what {_LOCK} tells of"


def _billed(members: Mapping[str, Member]) -> Iterator[str]:
    for row in json.loads(members[_BILL].kept or b"")["components"]:
        if row["type"] == "file":
            name, held = row["name"], members.get(row["name"])
            if held is None or held.sha256 != row["hashes"][0]["content"]:
                yield f"{_BILL} lists another {name}"


def _by_repository(
    place: Path, members: Mapping[str, Member], told: Mapping[str, Any], root: Path, found: Found
) -> None:
    model, tag = str(told["model"]), f"{told['model']}@v{told['version']}"
    try:
        known = {one.tag: one for one in versions(root)}
    except Fault:
        found.notes.append("no git repository here: the archive was checked by itself alone")
        return
    if tag not in known:
        found.notes.append(f"no tag {tag} here: the archive was checked by itself alone")
        return
    commit = known[tag].commit
    said = tags.told_in(root, tag).get("sha256")
    if said is None:
        found.notes.append(f"the tag {tag} has no SHA-256 of the archive: another tool made it")
    elif said != sha256_of(place):
        found.wrong.append(f"{place.name} is not the archive that the tag {tag} was made with")
    if commit != told["git"]["revision"]:
        found.wrong.append(f"{manifest.NAME} has another revision than the tag {tag}: {commit}")
    text = git(root, "show", f"{commit}:./models/{model}/{_LOCK}")
    if hashlib.sha256(text.encode()).hexdigest() != members[_LOCK].sha256:
        found.wrong.append(f"{_LOCK} is not the one of the tag {tag}")
    here = root / "models" / model / _LOCK
    is_there = git(root, "rev-parse", "HEAD").strip() == commit
    if is_there and (not here.is_file() or here.read_text("utf-8", "replace") != text):
        found.wrong.append(f"models/{model}/{_LOCK} here is not the one of the tag {tag}")
    found.wrong += _objects(root, lock.outs_in(text, f"models/{model}"))


def _objects(root: Path, outs: Mapping[str, Content]) -> Iterator[str]:
    """Objects of DVC's cache that are not what their name says; those that are absent are none."""
    folder = cache(root).objects
    for path, content in outs.items():
        held = folder / content.md5[:2] / content.md5[2:]
        if held.is_file() and md5_of(held) != content.md5.removesuffix(".dir"):
            yield f"{held} in the cache is not what its name says ({path})"
