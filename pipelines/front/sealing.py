"""Writes the seal after a clean run; pipelines.seal reads it before the next."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath

from pipelines import atomic, dvc_yaml, seal
from pipelines.content import IGNORE
from pipelines.dvc_repo import config_files
from pipelines.engine import PREFIX, TOOLCHAINS
from pipelines.project import CURRENT
from pipelines.step import Step
from pipelines.terminal import data_width

_KEPT = 16  # seals of other arguments
# What decides besides the recipes and the steps' files. Absent ones must stay absent.
_FILES = (
    *("dodo.py", "doit", "npumake.txt", f"{PREFIX}pyproject.toml", "dvc.yaml", "models"),
    *(".venv/made-from", ".venv/pyvenv.cfg"),
    ".npumake/ignored.json",
)
_FOLDERS = (f"{PREFIX}pipelines", f"{PREFIX}quant", TOOLCHAINS)


def write(arguments: Sequence[str], selected: Sequence[str], lines: Sequence[str]) -> None:
    """Seal a run whose selected steps are all up to date now.

    lines: what the same run would print if nothing had to be done.
    """
    if os.environ.get(seal.OFF) or not seal.is_sealable(arguments):
        return
    steps = [CURRENT.plan.steps[name] for name in selected]
    made = set(_made(steps))
    objects = set(_objects(steps))
    paths = sorted({*_decisive(), *made, *objects})
    stamps = _stamps(paths, made | objects)
    if stamps is None or not _is_as_recorded(steps, dict(zip(paths, stamps, strict=True))):
        return
    data = {
        "form": seal.FORM,
        "arguments": list(arguments),
        "width": data_width(),
        "environment": seal.environment(),
        "report": "".join(f"{line}\n" for line in lines),
        "folders": {folder: seal.names(f"{CURRENT.root}/{folder}") for folder in _watched()},
        "paths": paths,
        "state": seal.state_of(stamps),
    }
    file = CURRENT.root / seal.place(arguments)
    _drop_oldest(file)
    atomic.remember(file, json.dumps(data).encode())


def _decisive() -> Iterator[str]:
    """Every path that the plan, and what is stale, was read from; nothing that a run makes."""
    yield from _FILES
    yield from map(_relative, config_files(CURRENT.root))
    for folder in _code_folders()[1:]:
        yield from (f"{folder}/{e.name}" for e in os.scandir(CURRENT.root / folder) if e.is_file())
    for entry in os.scandir(CURRENT.root / "models"):
        if entry.is_dir():
            yield from (f"models/{entry.name}/{name}" for name in ("recipe.yaml", "recipe.yml"))
    makers = CURRENT.plan.makers()
    for step in CURRENT.plan.steps.values():
        for path in step.dependencies:
            if path not in makers:
                yield from _below(path)
                yield from (f"{parent}/{IGNORE}" for parent in PurePath(path, "_").parents)


def _objects(steps: Iterable[Step]) -> Iterator[str]:
    """Where the cache holds what the steps made: `dvc gc` of another checkout may take it away."""
    store, locks = CURRENT.builder.store, CURRENT.builder.locks
    entries = (entry for step in steps if (entry := locks.entry(step)) is not None)
    contents = (content for entry in entries for content in entry.outs.values())
    yield from {_relative(folder) for content in contents for folder in store.folders(content)}


def _relative(path: Path | str) -> str:
    """From the project's real folder, which links on the way there don't change."""
    return os.path.relpath(os.path.realpath(path), os.path.realpath(CURRENT.root))


def _code_folders() -> list[str]:
    """The project's own folder, and all that may hold code or pins."""
    below = (path for folder in _FOLDERS for path in _below(folder) if "__pycache__" not in path)
    return [".", *(path for path in below if (CURRENT.root / path).is_dir())]


def _watched() -> list[str]:
    """All folders whose names decide. Outputs that the cache lost are put into it again."""
    objects = CURRENT.builder.store.objects
    return [
        *_code_folders(),
        *([_relative(objects.parent)] if objects.is_dir() else []),
    ]


def _made(steps: Iterable[Step]) -> Iterator[str]:
    """What a run writes."""
    yield "dvc.yaml"
    yield from (f"{recipe.folder}/dvc.yaml" for recipe in CURRENT.plan.recipes.values())
    for step in steps:
        yield f"{step.folder}/dvc.lock"
        for path in step.outputs.values():
            yield from _below(path)


def _below(path: str) -> Iterator[str]:
    """The path, and all that is in it where it is a folder, links followed."""
    yield path
    root = str(CURRENT.root)
    if os.path.isdir(f"{root}/{path}"):  # noqa: PTH112 - thousands of paths
        for parent, folders, files in os.walk(f"{root}/{path}", followlinks=True):
            below = parent[len(root) + 1 :]
            yield from (f"{below}/{name}" for name in (*folders, *files))


def _stamps(paths: Sequence[str], made: set[str]) -> list[list[int] | None] | None:
    """The paths' stamps; None where one was changed since this run began, and not by it."""
    for _ in range(2):
        now_ns = time.time_ns()
        stamps = [seal.stamp(f"{CURRENT.root}/{path}") for path in paths]
        fresh = [
            (path, found)
            for path, found in zip(paths, stamps, strict=True)
            if found is not None and _is_fresh(found)
        ]
        if any(path not in made for path, _ in fresh):
            return None
        if all(now_ns - max(found[:2]) > seal.racy_ns(*found[:2]) for _, found in fresh):
            return stamps
        time.sleep(seal.RACY_NS / 1e9)  # a change within the same tick would not show
    return None


def _is_fresh(found: Sequence[int]) -> bool:
    return max(found[:2]) > seal.BEGAN_NS - seal.racy_ns(*found[:2])


def _is_as_recorded(steps: Sequence[Step], stamps: dict[str, list[int] | None]) -> bool:
    """Whether what this run wrote is still there as it was written. Read after it was stamped."""
    fresh = {path for path, found in stamps.items() if found is not None and _is_fresh(found)}
    builder, plan = CURRENT.builder, CURRENT.plan
    touched = fresh | {parent.as_posix() for path in fresh for parent in PurePath(path).parents}
    return (
        all(
            builder.locks.is_flushed(folder)
            for folder in {step.folder for step in steps}
            if f"{folder}/dvc.lock" in fresh
        )
        and ("dvc.yaml" not in fresh or _is_text("dvc.yaml", dvc_yaml.registry_text(plan)))
        and all(
            _is_text(f"{recipe.folder}/dvc.yaml", dvc_yaml.model_text(plan.of(recipe.model)))
            for recipe in plan.recipes.values()
            if f"{recipe.folder}/dvc.yaml" in fresh
        )
        and not any(
            builder.why(step) for step in steps if not touched.isdisjoint(step.outputs.values())
        )
        # Else another file was hashed than is there now, whatever the clock said meanwhile.
        and all(builder.contents.is_stamp_of(path, found) for path, found in stamps.items())
    )


def _is_text(path: str, text: str) -> bool:
    return (CURRENT.root / path).read_text(encoding="utf-8") == text


def _drop_oldest(kept: Path) -> None:
    others = sorted(
        (file for file in kept.parent.glob("*.json") if file != kept),
        key=lambda file: file.stat().st_mtime_ns,
    )
    for file in others[: 1 - _KEPT]:
        file.unlink(missing_ok=True)
