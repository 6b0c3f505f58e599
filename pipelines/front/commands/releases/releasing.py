"""Making a release: what is refused, what goes into it, and its tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.backends.table import serving
from pipelines.building.builder import Outcome
from pipelines.building.done import Done
from pipelines.building.dvc_yaml import registered
from pipelines.building.project import Project
from pipelines.files import console, unfinished
from pipelines.files.engine import CODE, version
from pipelines.files.git import git
from pipelines.front.commands.aside import one_job, run_aside
from pipelines.front.commands.building.why import reasons
from pipelines.front.commands.models import handoff
from pipelines.front.doit.cli import UsageError
from pipelines.recipe.define.model import Recipe
from pipelines.release import archive, card, manifest, tags
from pipelines.release.machine import machine
from pipelines.release.versions import versions
from pipelines.report import gates
from pipelines.report.rows import Run
from pipelines.stages.stage import Step, Work
from quant.sha256 import sha256_of

DIST = "dist"
_MOST = 5  # files or reasons that are told


def place_of(project: Project, model: str, number: str) -> Path:
    return project.root / DIST / f"{model}-{number}.tar.gz"


def release(project: Project, recipe: Recipe, number: str, stage: str | None) -> Path | None:
    """The archive, written and tagged; None where a step beside the plan failed, which is told.

    Raises UsageError on what must not be released.
    """
    steps = list(project.plan.of(recipe.model))
    _require_clean(project, recipe)
    _require_fresh(project, steps)
    _require_gates(project, steps)
    revision = git(project.root, "rev-parse", "HEAD").strip()
    _require_free(project, recipe, number, revision)
    place = place_of(project, recipe.model, number)
    with unfinished.folder_in(place.parent) as folder:
        members = _members(project, recipe, steps, number, revision, folder)
        if members is None:
            return None
        time = int(git(project.root, "log", "-1", "--format=%ct", revision))
        archive.write(place, f"{recipe.model}-{number}", members, time)
    _tag(project, recipe, number, stage, place)
    return place


def _require_clean(project: Project, recipe: Recipe) -> None:
    told = git(project.root, "status", "--porcelain", "--", ".", f":!{DIST}").splitlines()
    if told:
        more = [f"  and {len(told) - _MOST} more"] if len(told) > _MOST else []
        raise UsageError(
            "\n".join(
                [
                    "the working tree is not what is committed:",
                    *(f"  {line}" for line in told[:_MOST]),
                    *more,
                    "  git add and git commit them, or put them away, and release then",
                ]
            )
        )
    lock = f"{recipe.folder}/dvc.lock"
    if not git(project.root, "ls-files", "--", lock):
        raise UsageError(f"git does not track {lock}, which tells what is built", f"git add {lock}")


def _require_fresh(project: Project, steps: list[Step]) -> None:
    stale = [(step, why) for step, why in reasons(project, {step.name for step in steps}) if why]
    if stale:
        rows = [f"  {step.name}: {why[0]}" for step, why in stale[:_MOST]]
        model = steps[0].model
        advice = f"  run ./doit {model}, commit, and release then; ./doit why {model} tells more"
        raise UsageError("\n".join(["steps are stale:", *rows, advice]))


def _require_gates(project: Project, steps: list[Step]) -> None:
    done = {step.name: Done(Outcome.UP_TO_DATE, (), 0.0) for step in steps}
    failed = [said for _, said in gates.failures(project, Run(list(done), done))]
    if failed:
        raise UsageError("\n".join(["gates fail:", *failed]))


def _require_free(project: Project, recipe: Recipe, number: str, revision: str) -> None:
    for one in versions(project.root):
        if (one.name, one.number) == (recipe.model, number) and one.commit != revision:
            raise UsageError(
                f"{one.tag} is commit {one.commit[:12]} already, and this is {revision[:12]}",
                "take another version, or check out that commit to make its archive again",
            )


def _members(
    project: Project, recipe: Recipe, steps: list[Step], number: str, revision: str, made: Path
) -> dict[str, Path | bytes] | None:
    """Path in the archive -> file or content; None where a step beside the plan failed."""
    members = _built(project, recipe, steps)
    for target in recipe.targets.values():
        if target.backend in serving(handoff.Handoff.name):
            folder = made / "handoff" / target.name
            if not handoff.write(project, recipe, target, folder):
                return None
            members |= _below(folder, f"handoff/{target.name}")
    told: dict[str, Any] = {
        "format": 1,
        "model": recipe.model,
        "version": number,
        "git": {
            "revision": revision,
            "date": git(project.root, "log", "-1", "--format=%cI", revision).strip(),
        },
        "npumake": version(),
        "recipe_sha256": sha256_of(project.root / recipe.file),
        "targets": {
            name: manifest.target(project.root, recipe, target)
            for name, target in recipe.targets.items()
        },
        "toolchains": manifest.toolchains(steps),
        "stages": {step.name: step.version for step in steps},
    }
    members["MODEL_CARD.md"] = card.text(project.root, recipe, told).encode()
    bill = _bill(project, recipe, told, members, revision)
    if bill is None:
        return None
    members["sbom.cdx.json"] = bill
    told["files"] = manifest.files(members)
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    members[manifest.NAME] = text.encode()
    rows = {name: row["sha256"] for name, row in manifest.files(members).items()}
    members[manifest.SUMS] = manifest.sums(rows)
    return members


def _built(project: Project, recipe: Recipe, steps: list[Step]) -> dict[str, Path | bytes]:
    """All but what only the next step wants: artifacts, reports, the recipe and the records."""
    found: dict[str, Path | bytes] = {}
    base = f"{recipe.folder}/{recipe.build}/"
    for step in steps:
        for path in step.outputs.values():
            place = project.root / path
            if place.suffix == ".onnx" and step.stage in ("export", "simplify"):
                continue
            if step.stage == "quantize":
                continue
            name = path.removeprefix(base)
            found |= _below(place, name) if place.is_dir() else {name: place}
    for name in ("recipe.yaml", "dvc.yaml", "dvc.lock"):
        found[name] = project.root / recipe.folder / name
    for name in sorted({name for step in steps for name in step.toolchains}):
        found[f"toolchains/{name}.txt"] = CODE / "toolchains" / f"{name}.txt"
    return found


def _below(folder: Path, name: str) -> dict[str, Path | bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {f"{name}/{file.relative_to(folder).as_posix()}": file for file in files}


def _bill(
    project: Project,
    recipe: Recipe,
    told: Mapping[str, Any],
    members: Mapping[str, Path | bytes],
    revision: str,
) -> bytes | None:
    """The bill of materials, by the toolchain sbom."""
    used: dict[tuple[str, str], list[str]] = {}
    for toolchain, held in told["toolchains"].items():
        for pin in held["pins"].items():
            used.setdefault(pin, []).append(toolchain)
    params = {
        "model": recipe.model,
        "version": told["version"],
        "description": recipe.description,
        "time": int(git(project.root, "log", "-1", "--format=%ct", revision)),
        "files": [
            {"name": name, "sha256": row["sha256"]} for name, row in manifest.files(members).items()
        ],
        "libraries": [
            {"name": name, "version": version, "toolchains": toolchains}
            for (name, version), toolchains in sorted(used.items())
        ],
        "tools": [{"name": "npumake", "version": told["npumake"]}],
    }
    step = one_job(
        Work("sbom", "pipelines.release.jobs.sbom", params),
        model=recipe.model,
        stage="sbom",
        folder=recipe.folder,
        outputs=["sbom.cdx.json"],
    )
    with run_aside(project, step) as out:
        return None if out is None else (out / "sbom.cdx.json").read_bytes()


def _tag(project: Project, recipe: Recipe, number: str, stage: str | None, place: Path) -> None:
    names = [recipe.model]
    for target in recipe.targets.values():
        names += [name for name, _ in registered(recipe, target)]
    told = {"archive": place.name, "sha256": sha256_of(place), "machine": machine()}
    made = tags.register(project.root, names, number, told)
    if stage is not None:
        made += [f"{name} is {stage}" for name in tags.assign(project.root, names, number, stage)]
    for line in made:
        console.say(f"tagged {line}")
