"""What a killed process leaves: files it was writing aside, folders it was swapping."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from pipelines.dvc.repo import cache
from pipelines.files.atomic import UNUSED
from pipelines.run import work_folders

_RANDOM = r"[a-z0-9_]{8}"  # tempfile's
_UNUSED = rf"(?:{UNUSED}|{_RANDOM})"  # tempfile's: of earlier versions
_WRITTEN = re.compile(rf"\.(?:dvc\.lock|[a-z]+\.(?:json|txt|yaml))\.{_UNUSED}")
_SWAPPED = re.compile(rf"\.old-{_RANDOM}|\.(?P<name>.+)\.{_RANDOM}")
_CACHED = re.compile(
    rf"tmp{_UNUSED}|\.[0-9a-f]{{30}}(?:\.dir)?\.{_UNUSED}|\.[0-9a-f]{{64}}\.{_UNUSED}"
)


def remove(root: Path) -> None:
    """Remove what was there before this call; what is being written now is left alone."""
    began_s = time.time()
    for place in _found(root):
        try:
            if place.lstat().st_mtime < began_s:
                is_folder = place.is_dir() and not place.is_symlink()
                shutil.rmtree(place) if is_folder else place.unlink()
        except OSError:  # gone meanwhile, or not ours to remove
            continue


def _found(root: Path) -> Iterator[Path]:
    models = [folder for folder in (root / "models").glob("*/") if not folder.is_symlink()]
    for folder in (root, root / ".npumake", *models):
        yield from (Path(e) for e in _entries(folder) if _WRITTEN.fullmatch(e.name))
    yield from work_folders.abandoned(root)
    for new in (root / "models").glob(".new-*-*"):  # PROCESS-MODEL, of ./doit new
        process = new.name.split("-")[1]
        if process.isdigit() and not work_folders.is_alive(process):
            yield new
    for build in (folder / "build" for folder in models):
        if build.is_symlink():  # os.walk follows only this one
            continue
        for parent, folders, _ in os.walk(build):
            swapped = [name for name in folders if _is_swapped(Path(parent, name))]
            folders[:] = [name for name in folders if name not in swapped]
            yield from (Path(parent, name) for name in swapped)
    for pulled in _folders_of_tracked(root):
        entries = (e for e in _entries(pulled) if e.is_dir(follow_symlinks=False))
        yield from (Path(e) for e in entries if _is_swapped(Path(e)))
    objects, runs = cache(root).objects, cache(root).runs
    for folder in (objects, *objects.glob("*/"), *runs.glob("*/*/")):
        yield from (Path(e) for e in _entries(folder) if _CACHED.fullmatch(e.name))


def _folders_of_tracked(root: Path) -> Iterator[str]:
    """Where inputs are pulled to: beside what describes them. Not into build/."""
    for parent, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name[0] != "." and name != "build"]
        if any(name.endswith(".dvc") for name in files):
            yield parent


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _is_swapped(folder: Path) -> bool:
    """Whether store.replace or Store.restore made the folder: it holds one thing, of its name."""
    match = _SWAPPED.fullmatch(folder.name)
    if match is None:
        return False
    names = {entry.name for entry in _entries(folder)}
    return len(names) <= 1 and (match["name"] is None or names <= {match["name"]})
