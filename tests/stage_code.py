"""The code that each stage's output stands on, held against what it was when versions were raised.

A job that changes and makes something else must raise its stage's version in
pipelines/stages/versions.yaml, or old results stay "up to date". tests/test_stage_code.py fails
until

    .venv/bin/python -m tests.stage_code [--same]

has noted the code as it is: with --same where the stages make the same bytes as before, without it
where the versions of all stages that the change reaches were raised.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import hashlib
import io
import json
import sys
import tempfile
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from pipelines.backends import recipes
from pipelines.backends.rknn import tune_steps
from pipelines.backends.table import DEFINITIONS
from pipelines.building import plan as plans
from pipelines.recipe.define import model
from pipelines.record.step import Step
from pipelines.stages.stage import plain
from tests.conftest import ROOT
from tests.test_floors import MODULES, look

NOTED = ROOT / "tests" / "data" / "stage_code.json"
VERSIONS = ROOT / "pipelines" / "stages" / "versions.yaml"
RESOLVED = ROOT / "pipelines" / "stages" / "defaults.yaml"
DEFAULTS = "defaults of a recipe"  # a row beside those of files
_RKNN, _FIXED = "pipelines.backends.rknn", "pipelines.backends.fixed_point"
_QDQ = "pipelines.backends.qdq"
_RECIPE = ("pipelines.recipe.resolve",)


_HOLD_STATEMENTS = ("body", "orelse", "finalbody", "handlers", "cases")


def _jobs(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}.jobs.{name}" for name in names)


_EXPORT, _SIMPLIFY = "pipelines.stages.export", "pipelines.stages.simplify"
_RKNN_GIVEN = (f"+{_RKNN}.steps", f"+{_RKNN}.recipe.resolve")
_FIXED_GIVEN = (f"+{_FIXED}.steps", *(f"+{_FIXED}.recipe.{name}" for name in ("resolve", "sweep")))
_QDQ_GIVEN = (f"+{_QDQ}.steps", *(f"+{_QDQ}.recipe.{name}" for name in ("resolve", "options")))
_SAMPLES = _jobs("pipelines.stages.samples", "samples")
# Version key -> modules that it runs, and (after "+") that only say what those are given.
STAGES: Mapping[str, tuple[str, ...]] = {
    "export": (
        *_jobs(_EXPORT, "from_onnx", "from_tflite", "from_torch", "from_tensorflow", "check_onnx"),
        f"+{_EXPORT}.step",
    ),
    "simplify": (*_SAMPLES, *_jobs(_SIMPLIFY, "simplify"), f"+{_SIMPLIFY}.step"),
    "rknn.quantize": (*_SAMPLES, *_jobs(_RKNN, "quantize"), *_RKNN_GIVEN),
    "rknn.build": (*_SAMPLES, *_jobs(_RKNN, "build"), *_RKNN_GIVEN),
    "rknn.analyze": (
        *_jobs("pipelines.stages.samples", "samples", "calibration"),
        *_jobs(_RKNN, "analyze", "infer", "board", "handoff", "measure"),
        *_RKNN_GIVEN,
        f"+{_RKNN}.tune_steps",
    ),
    "rknn.runtime": (*_jobs(_RKNN, "runtime"), *_RKNN_GIVEN),
    "rknn.tune": (*_SAMPLES, *_jobs(_RKNN, "tune", "foretell"), f"+{_RKNN}.tune_steps"),
    "fixed_point.quantize": (*_SAMPLES, *_jobs(_FIXED, "quantize"), *_FIXED_GIVEN),
    "fixed_point.build": (*_jobs(_FIXED, "build", "file"), *_FIXED_GIVEN),
    "fixed_point.analyze": (
        *_SAMPLES,
        *_jobs(_FIXED, "analyze", "infer"),
        *_FIXED_GIVEN,
    ),
    "qdq.quantize": (*_SAMPLES, *_jobs(_QDQ, "quantize"), *_QDQ_GIVEN),
    "qdq.build": (*_jobs(_QDQ, "build"), *_QDQ_GIVEN),
    "qdq.analyze": (*_SAMPLES, *_jobs(_QDQ, "analyze", "infer"), *_QDQ_GIVEN),
}
# No import tells of these, and they decide all the same: stages -> files.
_BESIDE: Mapping[str, tuple[str, ...]] = {
    "rknn.": ("pipelines/backends/rknn/torch_stand_in/**/*.py", "toolchains/toolchains.yaml"),
    "rknn.runtime": ("pipelines/backends/rknn/runtime/*.[ct]*",),
}


def code_of(stage: str) -> set[str]:
    """Every file that decides of the stage's output, relative to the project, and DEFAULTS."""
    jobs = {name for name in STAGES[stage] if not name.startswith("+")}
    given = {name[1:] for name in STAGES[stage] if name.startswith("+")}
    files = {_relative(MODULES[module]) for module in _closure(jobs) | given | {*_RECIPE}}
    for prefix, patterns in _BESIDE.items():
        if stage.startswith(prefix):
            files |= {_relative(file) for pattern in patterns for file in ROOT.glob(pattern)}
    return files | {DEFAULTS}


def _closure(modules: Iterable[str]) -> set[str]:
    """These modules, and all of ours that they import, wherever in the file."""
    found: set[str] = set()
    waiting = [*modules]
    while waiting:
        module = waiting.pop()
        if module in MODULES and module not in found:
            found.add(module)
            waiting += _imported(module)
    return found


# These import every file of some folders, by its name.
_BY_NAME: Mapping[str, str] = {
    "quant.rewrites.table": "quant/rewrites/*/*.py",
    "pipelines.backends.rknn.findings.suspect": "pipelines/backends/rknn/findings/**/*.py",
}


@cache
def _imported(module: str) -> list[str]:
    files = {*ROOT.glob(_BY_NAME[module])} if module in _BY_NAME else set()
    return [*look(MODULES[module]).imports, *(name for name in MODULES if MODULES[name] in files)]


def digest(name: str) -> str:
    """Of a file's code without docstrings, comments and empty lines, or of the defaults."""
    if name == DEFAULTS:
        text = json.dumps(_defaults(), sort_keys=True, default=str)
    elif name.endswith(".py"):
        text = "\n".join(_code(ROOT / name))
    else:
        text = (ROOT / name).read_text()
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _code(file: Path) -> Iterator[str]:
    """The lines that Python runs: by position, since ast and tokenize name parts by version."""
    text = file.read_text()
    lines = text.splitlines()
    if "#" in text:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                lines[row - 1] = lines[row - 1][:column]
    for first, last in _docstrings(ast.parse(text)):
        lines[first - 1 : last] = [""] * (last - first + 1)
    return (line.rstrip() for line in lines if line.strip())


def _docstrings(tree: ast.AST) -> Iterator[tuple[int, int]]:
    """First and last line of every text that is a statement."""
    todo = [tree]
    while todo:
        node = todo.pop()
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                yield node.lineno, node.end_lineno or node.lineno
        for name in _HOLD_STATEMENTS:
            held = getattr(node, name, ())
            todo += held if isinstance(held, list) else ()


def _defaults() -> dict[str, Any]:
    """Section or dataclass -> what a key is where no recipe says it."""
    options = (type(target.options).__module__ for target in _plain_recipe().targets.values())
    classes = [
        each
        for module in (model, *map(import_module, options))
        for each in vars(module).values()
        if isinstance(each, type) and dataclasses.is_dataclass(each)
    ]
    told = {f"section {each.name}": plain(each.defaults) for each in DEFINITIONS.sections}
    return told | {
        f"{each.__module__}.{each.__name__}": {
            field.name: repr(field.default)
            for field in dataclasses.fields(each)
            if field.default is not dataclasses.MISSING
        }
        for each in classes
    }


# A recipe that says nothing which it need not, in words that are no default.
PLAIN = """\
model: plain
source: {onnx: plain.onnx}
inputs: {plain_input: {shape: [1, 3, 7, 7]}}
quantize: {calibration: {npy: plain_x.npy}}
evaluate: {inputs: plain_x.npy, labels: plain_y.npy}
targets:
  plain-rknn: {platform: rk3588, runtime: {}}
  plain-int8: {backend: fixed_point, input_scale: 7}
  plain-qdq: {backend: qdq}
"""
_SAID = ([1, 3, 7, 7], 7, "rk3588", "onnx")
HEAD = """\
# What jobs are given where a recipe says nothing, and digests of what toolchains put on their path:
# parameters of every step, for ./doit and DVC. Generated by `python -m tests.stage_code`.
"""


def resolved() -> dict[str, Any]:
    """What defaults.yaml holds: by version key, dotted parameter -> value, but for what is off."""
    found: dict[str, Any] = {}
    for step in _plain_steps():
        given = {name: value for work in step.work() for name, value in _leaves(work.params)}
        place = found
        *above, last = step.version_key.split(".")
        for part in above:
            place = place.setdefault(part, {})
        if given:
            place[last] = dict(sorted(given.items()))
    return {**found, "toolchains": dict(_toolchains())}


@cache
def _plain_plan() -> plans.Plan:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = root / "models" / "plain"
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(PLAIN)
        for file in ("plain.onnx", "plain_x.npy", "plain_y.npy"):
            (folder / file).write_bytes(b"")
        return plans.make(recipes.load_all(root), root)


def _plain_recipe() -> model.Recipe:
    (recipe,) = _plain_plan().recipes.values()
    return recipe


def _plain_steps() -> list[Step]:
    recipe = _plain_recipe()
    target = recipe.targets["plain-rknn"]
    search = tune_steps.search_step(recipe, target, ROOT, "plain", {}, "plain")
    return [*_plain_plan().steps.values(), search]


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}".lstrip("."))
    elif value and value not in _SAID and "plain" not in str(value):
        yield name.replace("plain_input", "NAME"), value


def _toolchains() -> Iterator[tuple[str, dict[str, str]]]:
    """Toolchain -> folder that it puts on the path -> digest of the code there."""
    for name, told in yaml.safe_load((ROOT / "toolchains/toolchains.yaml").read_text()).items():
        folders = {
            folder: _digest_of(*sorted((ROOT / folder).rglob("*.py")))
            for folder in told.get("path", ())
        }
        if folders:
            yield name.replace(".", "_"), folders


def _digest_of(*files: Path) -> str:
    told = "".join(f"{_relative(file)} {digest(_relative(file))}\n" for file in files)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def defaults_text() -> str:
    return HEAD + yaml.safe_dump(resolved(), sort_keys=False)


@cache
def present() -> dict[str, dict[str, Any]]:
    """versions: stage -> number; code: file -> digest, of all that any stage stands on."""
    files = sorted({name for stage in STAGES for name in code_of(stage)})
    return {"versions": _versions(), "code": {name: digest(name) for name in files}}


def _versions() -> dict[str, int]:
    found: dict[str, int] = {}
    for name, value in yaml.safe_load(VERSIONS.read_text()).items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        found |= {f"{name}.{part}".rstrip("."): number for part, number in parts}
    return found


def noted() -> dict[str, dict[str, Any]]:
    return dict(json.loads(NOTED.read_text()))


def reached(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[str]]:
    """Stage whose version is as it was -> the files of its code that are not."""
    old, new = before["code"], now["code"]
    changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    gone = changed - new.keys()
    found = {
        stage: sorted(changed & code_of(stage))
        for stage in STAGES
        if now["versions"][stage] == before["versions"].get(stage)
    }
    return {stage: files for stage, files in found.items() if files} | (
        {"(no stage)": sorted(gone)} if gone else {}
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--same", action="store_true", help="every stage makes the same as before")
    arguments = parser.parse_args()
    left = reached(noted(), present()) if NOTED.exists() else {}
    left.pop("(no stage)", None)
    for stage, files in left.items():
        print(f"{stage}: {', '.join(files)}")
    if left and not arguments.same:
        sys.exit(
            f"raise the versions of these in {_relative(VERSIONS)}, as far as their output changes;"
            "\nthen, if the others make the same bytes as before, say --same"
        )
    RESOLVED.write_text(defaults_text())
    NOTED.write_text(json.dumps(present(), indent=1) + "\n")
    print(f"noted in {_relative(NOTED)}")


def _relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


if __name__ == "__main__":
    main()
