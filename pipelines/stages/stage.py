"""What every stage needs to make its step: paths, sections of the recipe, versions, data."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipelines.recipe.define.model import Evaluate, Recipe, Samples
from pipelines.record.step import Step, Work
from quant.rewrites.names import CUTS
from quant.samples.dataset import list_entries

if TYPE_CHECKING:
    from pipelines.stages.samples.jobs.params import DataParams

_VERSIONS = Path(__file__).with_name("versions.yaml")
_DEFAULTS = Path(__file__).with_name("defaults.yaml")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def version(key: str) -> int:
    """Version of a stage, such as `export` or `rknn.build`, from versions.yaml."""
    value: Any = _read(_VERSIONS)
    for part in key.split("."):
        value = value[part]
    return int(value)


@cache
def defaults(key: str, *toolchains: str) -> Mapping[str, Any]:
    """Dotted key of defaults.yaml -> value, of a stage's jobs and of what their toolchains hold.

    So that what a recipe leaves out, which DVC could not see, is a fact of the step too.
    """
    keys = (key, *(f"toolchains.{name.replace('.', '_')}" for name in toolchains))
    return sections(_read(_DEFAULTS), *keys)


@cache
def _read(file: Path) -> dict[str, Any]:
    return dict(yaml.load(file.read_text(), Loader=_Loader))


def sections(raw: Mapping[str, Any], *paths: str) -> dict[str, Any]:
    """Dotted path -> value, of those `paths` that the recipe has."""
    found = {}
    for path in paths:
        value: Any = raw
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            found[path] = value
    return found


def target_sections(recipe: Recipe, name: str, *paths: str) -> dict[str, Any]:
    """The same paths of the recipe and of that target of it, which overrides them."""
    return sections(recipe.raw, *paths, *(f"targets.{name}.{path}" for path in paths))


def in_folder(recipe: Recipe, path: str) -> str:
    """A path of the recipe, relative to the project."""
    return posixpath.normpath(posixpath.join(recipe.folder, path))


def built(recipe: Recipe, path: str) -> str:
    """Where an artifact of the model is kept, relative to the project. Trials share the export."""
    folder = "build" if path.startswith("export/") else recipe.build
    return f"{recipe.folder}/{folder}/{path}"


def step_of(
    recipe: Recipe,
    stage: str,
    target: str | None,
    *,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    toolchains: tuple[str, ...],
    work: Callable[[], tuple[Work, ...]],
    version_key: str,
    sections: Mapping[str, Any] | None = None,
) -> Step:
    """A step of the recipe's model, of the version that `version_key` has now."""
    return Step(
        model=recipe.model,
        stage=stage,
        target=target,
        folder=recipe.folder,
        inputs=inputs,
        outputs=outputs,
        sections=sections or {},
        version_key=version_key,
        version=version(version_key),
        toolchains=toolchains,
        work=work,
    )


def plain(value: Any) -> Any:
    """Dataclasses and mappings as JSON data."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def completed(step: Step, recipe: Recipe) -> Step:
    """The step, with its defaults, and with what the recipe lets lead out of the project."""
    return dataclasses.replace(
        step,
        defaults=defaults(step.version_key, *step.toolchains),
        outside=tuple(in_folder(recipe, path) for path in recipe.outside),
    )


def data_inputs(recipe: Recipe, samples: Samples | None, root: Path) -> dict[str, str]:
    """The files and folders that `samples` names, by the names that stages.samples knows."""
    if samples is None:
        return {}
    if samples.images is not None:
        return {"data": in_folder(recipe, samples.images)}
    if samples.list is not None:
        return {"data": in_folder(recipe, samples.list), **_listed(recipe, samples.list, root)}
    held = samples.npy or samples.raw or ()
    files = held.values() if isinstance(held, Mapping) else held
    return {f"data_{i}": in_folder(recipe, file) for i, file in enumerate(files)}


def listed_inputs(listing: str, files: Sequence[str]) -> dict[str, str]:
    """A list of files that no recipe names, as data_inputs has those of one that does."""
    return {"data": listing, **_numbered(files)}


def report_outputs(recipe: Recipe, target: str, files: Sequence[str]) -> dict[str, str]:
    """Where a target's reports are kept."""
    return {f"report/{file}": built(recipe, f"{target}/report/{file}") for file in files}


def cut_inputs(recipe: Recipe) -> dict[str, str]:
    """`cut`: what the outputs of a cut network are held against, itself in float; and its `tail`.

    They may be named like a tensor of the source that has other values: onnxsim takes a factor into
    the convolution before it, and calls what comes out by the name of what came out before.
    """
    if set(CUTS).isdisjoint(recipe.simplify.rewrite):
        return {}
    files = {"cut": "model.onnx", "tail": "tail.onnx"}
    return {name: built(recipe, f"simplify/{file}") for name, file in files.items()}


def evaluate_inputs(recipe: Recipe, evaluate: Evaluate | None) -> dict[str, str]:
    """The labelled data's files, by the names that stages.samples knows."""
    if evaluate is None:
        return {}
    inputs = _listed_files(evaluate.inputs)
    found = {f"evaluate_inputs_{i}": in_folder(recipe, file) for i, file in enumerate(inputs)}
    if evaluate.function:
        file = evaluate.function[0]
        found[f"model/{file}"] = in_folder(recipe, file)
    if isinstance(evaluate.labels, str):
        return {**found, "evaluate_labels": in_folder(recipe, evaluate.labels)}
    labels = enumerate(evaluate.labels.values())
    return found | {f"evaluate_labels_{i}": in_folder(recipe, file) for i, file in labels}


def _listed_files(given: str | Mapping[str, str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given.values())


def _listed(recipe: Recipe, path: str, root: Path) -> dict[str, str]:
    """The files that a list names are dependencies too."""
    try:
        lines = list_entries(root / in_folder(recipe, path))
    except (OSError, ValueError):  # stages.samples says what is wrong with it, and where
        return {}
    return _numbered(dict.fromkeys(posixpath.relpath(file, root) for row in lines for file in row))


def _numbered(files: Iterable[str]) -> dict[str, str]:
    return {f"listed/{i}": file for i, file in enumerate(files)}


def job(
    toolchain: str, module: str, params: object, environment: Mapping[str, str] | None = None
) -> Work:
    """params: of the class that the module's `run` names; they travel as JSON data."""
    return Work(toolchain, module, plain(params), environment or {})


def samples_work(params: DataParams, name: str = "samples", kind: type | None = None) -> Work:
    """The job that makes samples/ of the recipe's data, for the jobs after it.

    params: of those; it is told the fields of `kind`, DataParams. name: of its module.
    """
    # A class of Params takes milliseconds to make, so that a plan, where most steps never run,
    # imports none.
    from pipelines.stages.samples.jobs.params import DataParams

    fields = dataclasses.fields(kind or DataParams)
    told = {field.name: getattr(params, field.name) for field in fields}
    return job("core", f"pipelines.stages.samples.jobs.{name}", told)


__all__ = [
    "Step",
    "Work",
    "built",
    "completed",
    "cut_inputs",
    "data_inputs",
    "defaults",
    "evaluate_inputs",
    "in_folder",
    "job",
    "plain",
    "sections",
    "version",
]
