"""Writes the seal after a clean run; pipelines.record.seal reads it before the next."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from pipelines.building import dvc_yaml
from pipelines.building.project import Project
from pipelines.dvc.repo import config_files
from pipelines.files import atomic
from pipelines.files.engine import PREFIX, TOOLCHAINS
from pipelines.files.terminal import data_width
from pipelines.front.doit import sparing
from pipelines.record import seal, whole
from pipelines.record.code_folders import CodeFolders
from pipelines.record.digest import IGNORE
from pipelines.record.step import Step
from pipelines.record.whole import Memory, Whole
from pipelines.report.rows import Told

_KEPT = 16  # seals of other arguments
_ALL: tuple[list[str], ...] = ([], ["run"])  # names in a run of all models
# What decides besides the recipes and the steps' files. Absent ones must stay absent.
_FILES = (
    *("dodo.py", "doit", "npumake.txt", f"{PREFIX}pyproject.toml", "dvc.yaml", "models"),
    *(".venv/made-from", ".venv/pyvenv.cfg"),
    ".npumake/ignored.json",
)
_FOLDERS = (f"{PREFIX}pipelines", f"{PREFIX}quant", TOOLCHAINS)


def write(
    project: Project,
    arguments: Sequence[str],
    selected: Sequence[str],
    told: Mapping[str, Told],
    lines: list[str],
    failures: Sequence[str] = (),
) -> None:
    """Seal a run whose selected steps are all up to date now.

    told, lines: what the same run would say of the models that are not spared, and print of all,
    if nothing had to be done. failures: what it would say of gates; then `remember` is for the
    models that pass theirs.
    """
    names = seal.names_among(arguments)
    if os.environ.get(seal.OFF) or names is None:
        return
    steps = [project.plan.steps[name] for name in selected]
    chosen = {*selected}
    code = CodeFolders(project.root, _FOLDERS)
    memory = _stamped(
        project,
        code,
        steps,
        {model: _of_model(project, model, chosen) for model in project.plan.recipes},
    )
    if memory is None:
        return
    folders = _folders(project, code)
    _write_seal(project, arguments, lines, failures, memory, folders)
    if names in _ALL and not failures:
        whole.write(project.root, _told(project, memory, told), folders, project.spared)


def remember(project: Project, arguments: Sequence[str], told: Mapping[str, Told]) -> None:
    """After a run of all models in which some have mistakes, failed, or fail their gates.

    told: what the same run would say of the others that are not spared, which have nothing to do.
    """
    if os.environ.get(seal.OFF) or seal.names_among(arguments) not in _ALL:
        return
    steps = [step for model in told for step in project.plan.of(model)]
    chosen = {step.name for step in steps}
    code = CodeFolders(project.root, _FOLDERS)
    own = {model: _of_model(project, model, chosen) for model in told}
    memory = _stamped(project, code, steps, own)
    if memory is None:
        return
    memory = _told(project, memory, told)
    registries = sparing.registries(project.plan)
    left = {
        model: Whole([], "", [], registry, {})  # a state that no files have
        for model, registry in registries.items()
        if model not in told
    }
    whole.write(
        project.root,
        replace(memory, models={**memory.models, **left}),
        _folders(project, code),
        project.spared,
    )


def _folders(project: Project, code: CodeFolders) -> dict[str, list[str]]:
    """Folder -> its names, of those that decide of all models.

    Outputs that the cache lost are put into it again.
    """
    objects = project.builder.store.objects
    watched = [".", *([_relative(project, objects.parent)] if objects.is_dir() else [])]
    return code.names | {path: seal.names(f"{project.root}/{path}") for path in watched}


def _write_seal(
    project: Project,
    arguments: Sequence[str],
    lines: list[str],
    failures: Sequence[str],
    memory: Memory,
    folders: Mapping[str, list[str]],
) -> None:
    unstamped = (path for path, stamp in memory.stamps.items() if stamp == seal.ABSENT)
    # A link that leads nowhere has no stamp either, and is there.
    absent = sorted(seal.missing(str(project.root), unstamped))
    paths = sorted(memory.stamps.keys() - {*absent})
    data = {
        "form": seal.FORM,
        "arguments": list(arguments),
        "width": data_width(),
        "environment": seal.environment(),
        "report": "".join(f"{line}\n" for line in lines),
        "failures": list(failures),
        "folders": folders,
        "paths": paths,
        "absent": absent,
        "state": seal.state_of(memory.stamps[path] for path in paths),
    }
    file = project.root / seal.place(arguments)
    _drop_oldest(file)
    atomic.remember(file, json.dumps(data).encode())


def _stamped(
    project: Project,
    code: CodeFolders,
    steps: Sequence[Step],
    models: Mapping[str, set[str]],
) -> Memory | None:
    """All paths that decide, and their stamps; None where something was changed meanwhile.

    Of a spared model it is the stamps by which it was found whole. models: of the others.
    """
    common, objects = sorted({*_common(project, code)}), {*_objects(project, steps)}
    spared, earlier = project.spared, project.memory
    stamps: dict[str, bytes] = {}
    if earlier is not None:
        objects |= {*earlier.objects}
        stamps = {path: earlier.stamps[path] for held in spared.values() for path in held.paths}
    paths = sorted({*common, *objects, *(path for own in models.values() for path in own)})
    made = {*_made(project, steps)} | objects
    found = _stamps(project, paths, made)
    if found is None:
        return None
    if not _is_as_recorded(project, steps, dict(zip(paths, found, strict=True))):
        return None
    own = dict(zip(paths, map(seal.packed, found), strict=True))
    told = {model: _whole(project, model, held, own) for model, held in models.items()}
    return Memory({**spared, **told}, common, sorted(objects), stamps | own)


def _whole(project: Project, model: str, paths: set[str], stamps: Mapping[str, bytes]) -> Whole:
    """What is held of a model but for what the report says."""
    ordered = sorted(paths)
    needs = {
        path.split("/")[1]
        for step in project.plan.of(model)
        for path in step.dependencies
        if path.startswith("models/")
    }
    state = seal.state_of(stamps[path] for path in ordered)
    return Whole(ordered, state, sorted(needs - {model}), "", {})


def _told(project: Project, memory: Memory, told: Mapping[str, Told]) -> Memory:
    registries = sparing.registries(project.plan)
    own = {
        model: replace(memory.models[model], registry=registries[model], told=vars(each))
        for model, each in told.items()
    }
    return replace(memory, models={**project.spared, **own})


def _common(project: Project, code: CodeFolders) -> Iterator[str]:
    """What decides of all models: code, pins, configuration, and which models there are."""
    yield from _FILES
    yield from (_relative(project, file) for file in config_files(project.root))
    yield from code.files
    models = project.models
    for entry in os.scandir(project.root / "models"):
        if entry.is_dir() and entry.name not in models:
            yield from _recipes(f"models/{entry.name}")


def _of_model(project: Project, model: str, chosen: set[str]) -> set[str]:
    """Every path that its plan was read from, and all that its chosen steps read or make.

    What another model makes is a path of that one's.
    """
    folder, makers = project.plan.recipes[model].folder, project.plan.makers()
    found = {*_recipes(folder), f"{folder}/dvc.yaml"}
    for step in project.plan.of(model):
        for path in step.dependencies:
            if path not in makers:
                found.update(_below(project, path))
                found.update(_ignoring(project, path))
        if step.name in chosen:
            found.add(f"{folder}/dvc.lock")
            for path in step.outputs.values():
                found.update(_below(project, path))
    return found


def _ignoring(project: Project, path: str) -> Iterator[str]:
    """Where a .dvcignore would count. A file that becomes a folder has another stamp."""
    is_file = os.path.isfile(f"{project.root}/{path}")  # noqa: PTH113 - thousands of paths
    folders = PurePath(path).parents if is_file else PurePath(path, "_").parents
    yield from (f"{folder}/{IGNORE}" for folder in folders)


def _recipes(folder: str) -> Iterator[str]:
    yield from (f"{folder}/{name}" for name in ("recipe.yaml", "recipe.yml"))


def _objects(project: Project, steps: Iterable[Step]) -> Iterator[str]:
    """Where the cache holds what the steps made: `dvc gc` of another checkout may take it away."""
    store, locks = project.builder.store, project.builder.locks
    entries = (entry for step in steps if (entry := locks.entry(step)) is not None)
    contents = (content for entry in entries for content in entry.outs.values())
    yield from {
        _relative(project, folder) for content in contents for folder in store.folders(content)
    }


def _relative(project: Project, path: Path | str) -> str:
    """From the project's real folder, which links on the way there don't change."""
    return os.path.relpath(os.path.realpath(path), os.path.realpath(project.root))


def _made(project: Project, steps: Iterable[Step]) -> Iterator[str]:
    """What a run writes."""
    yield "dvc.yaml"
    yield from (f"{recipe.folder}/dvc.yaml" for recipe in project.plan.recipes.values())
    for step in steps:
        yield f"{step.folder}/dvc.lock"
        for path in step.outputs.values():
            yield from _below(project, path)


def _below(project: Project, path: str) -> Iterator[str]:
    """The path, and all that is in it where it is a folder, links followed."""
    yield path
    root = str(project.root)
    if os.path.isdir(f"{root}/{path}"):  # noqa: PTH112 - thousands of paths
        for parent, folders, files in os.walk(f"{root}/{path}", followlinks=True):
            below = parent[len(root) + 1 :]
            yield from (f"{below}/{name}" for name in (*folders, *files))


def _stamps(
    project: Project, paths: Sequence[str], made: set[str]
) -> list[list[int] | None] | None:
    """The paths' stamps; None where one was changed since this run began, and not by it."""
    stamps: dict[str, list[int] | None] = {}
    young = [*paths]
    for _ in range(2):
        now_ns = time.time_ns()
        stamps |= {path: seal.stamp(f"{project.root}/{path}") for path in young}
        found = [(path, stamp) for path in young if (stamp := stamps[path]) and _is_fresh(stamp)]
        if any(path not in made for path, _ in found):
            return None
        if all(now_ns - max(stamp[:2]) > seal.racy_ns(*stamp[:2]) for _, stamp in found):
            return [*stamps.values()]
        time.sleep(seal.RACY_NS / 1e9)  # a change within the same tick would not show
        young = [path for path, _ in found]  # of another that changes now, the old stamp is held
    return None


def _is_fresh(found: Sequence[int]) -> bool:
    return max(found[:2]) > seal.BEGAN_NS - seal.racy_ns(*found[:2])


def _is_as_recorded(
    project: Project, steps: Sequence[Step], stamps: dict[str, list[int] | None]
) -> bool:
    """Whether what this run wrote is still there as it was written. Read after it was stamped."""
    fresh = {path for path, found in stamps.items() if found is not None and _is_fresh(found)}
    builder, plan = project.builder, project.plan
    touched = fresh | {parent.as_posix() for path in fresh for parent in PurePath(path).parents}
    return (
        all(
            builder.locks.is_flushed(folder)
            for folder in {step.folder for step in steps}
            if f"{folder}/dvc.lock" in fresh
        )
        and ("dvc.yaml" not in fresh or _is_text(project, "dvc.yaml", dvc_yaml.registry_text(plan)))
        and all(
            _is_text(
                project, f"{recipe.folder}/dvc.yaml", dvc_yaml.model_text(plan.of(recipe.model))
            )
            for recipe in plan.recipes.values()
            if f"{recipe.folder}/dvc.yaml" in fresh
        )
        and all(
            builder.status(step).is_idle
            for step in steps
            if not touched.isdisjoint(step.outputs.values())
        )
        # Else another file was hashed than is there now, whatever the clock said meanwhile.
        and all(builder.contents.is_stamp_of(path, found) for path, found in stamps.items())
    )


def _is_text(project: Project, path: str, text: str) -> bool:
    return (project.root / path).read_text(encoding="utf-8") == text


def _drop_oldest(kept: Path) -> None:
    others = sorted(
        (file for file in kept.parent.glob("*.json") if file != kept),
        key=lambda file: file.stat().st_mtime_ns,
    )
    for file in others[: 1 - _KEPT]:
        file.unlink(missing_ok=True)
