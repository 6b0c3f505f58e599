"""Imports go one way: a file imports only from its own floor or lower ones."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT
from tests.vacuous import some

# With tests/test_stage_code.py: both parse every file, once a worker.
pytestmark = pytest.mark.xdist_group("parsed")

# The rooms of pipelines/, from the ground up. quant/ is below, dodo.py above.
ROOMS = (
    "files",
    "record",
    "recipe",
    "run",
    "dvc",
    "stages",
    "backends",
    "building",
    "doctor",
    "report",
    "release",
    "front",
)
FLOORS = ("quant", *(f"pipelines.{room}" for room in ROOMS), "dodo")
# What runs inside toolchains stands in folders called `jobs`, and in these. It has quant and the
# toolchain's own packages; of what the front has, it may import what is LENT: no package but the
# SDK is in there.
INSIDE = (
    "pipelines.backends.rknn.sdk",
    "pipelines.backends.rknn.analysis",
)
LENT = (
    "quant",
    "pipelines.files.engine",
    "pipelines.files.quantity",
    "pipelines.files.where",
    "pipelines.recipe.define.model",  # plain data, which jobs are told
    "pipelines.backends.fixed_point.recipe.options",
    "pipelines.backends.qdq.recipe.options",
    "pipelines.backends.rknn",
)


def modules() -> Iterator[tuple[str, Path]]:
    for file in [ROOT / "dodo.py", *ROOT.glob("pipelines/**/*.py"), *ROOT.glob("quant/**/*.py")]:
        if "torch_stand_in" not in file.parts:
            parts = file.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), file


class Looked(NamedTuple):
    """imports: every name. is_code: more than a docstring. words: every text in quotes."""

    imports: list[str]
    is_code: bool
    words: set[str]


@cache
def look(file: Path) -> Looked:
    """Parsed once, when a test asks: every worker collects the tests."""
    tree = ast.parse(file.read_text())
    names, words = list[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
    return Looked(names, bool(tree.body[1:]), words)


def folder(module: str) -> str:
    """The folder that a module lies in, dotted."""
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


def floor(folder: str) -> int:
    (level,) = (n for n, name in enumerate(FLOORS) if f"{folder}.".startswith(f"{name}."))
    return level


def is_inside(module: str) -> bool:
    return "jobs" in module.split(".") or module.startswith(INSIDE)


MODULES = dict(modules())


@cache
def ours(module: str) -> frozenset[str]:
    """Our own modules that one imports; a folder's __init__.py only where it holds code."""
    names = {name for name in look(MODULES[module]).imports if name in MODULES and name != module}
    return frozenset(name for name in names if look(MODULES[name]).is_code)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"dodo", "pipelines"}))
def test_imports_go_down(module: str) -> None:
    for name in ours(module):
        assert floor(name) <= floor(module), f"{module} imports {name}, which is above it"
        if is_inside(module):
            assert is_inside(name) or name.startswith(LENT), name


def test_no_two_folders_import_each_other() -> None:
    """Nor do three in a ring."""
    folders: dict[str, set[str]] = {folder(module): set() for module in MODULES}
    for module in MODULES:
        folders[folder(module)] |= {folder(name) for name in ours(module)} - {folder(module)}
    try:
        TopologicalSorter(folders).prepare()
    except CycleError as ring:
        found = [
            f"{module} imports {name}"
            for above, below in pairwise(ring.args[1])
            for module in MODULES
            for name in ours(module)
            if {folder(module), folder(name)} == {above, below}
        ]
        pytest.fail("\n".join(found))


def test_the_map_fits_on_a_screen() -> None:
    rooms = {path.parent.name for path in (ROOT / "pipelines").glob("*/__init__.py")}
    assert rooms == {*ROOMS}
    assert len(ROOMS) <= 12


MOST_FILES = 14  # of one folder, beside its __init__.py


def test_no_folder_is_too_full() -> None:
    count: dict[str, int] = {}
    for file in (*ROOT.glob("pipelines/**/*.py"), *ROOT.glob("quant/**/*.py")):
        place = file.parent.relative_to(ROOT).as_posix()
        count[place] = count.get(place, 0) + (file.name != "__init__.py")
    assert count["pipelines/files"] > 8
    assert {place: held for place, held in count.items() if held > MOST_FILES} == {}


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_shows_the_map(name: str) -> None:
    """Every folder, and the rooms in their order, on one screen."""
    text = (ROOT / name).read_text().split("dodo.py  ", 1)[1].split("```", 1)[0]
    assert re.findall(r"^  (\w+)/ ", text, re.MULTILINE) == [*ROOMS]
    assert text.count("\n") <= 24
    top = {place.parts[0] for place in tracked() if len(place.parts) > 1}
    shown = {*re.findall(r"(?:^|· )(\w+)/", text, re.MULTILINE)}
    assert shown == {place for place in top if not place.startswith(".")}


def tracked() -> list[Path]:
    told = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(line) for line in told.stdout.splitlines()]


EXPORT = "pipelines.stages.export.jobs"
TORCH = ("from_torch", "torch_network", "torch_weights", "look.at_torch")
TENSORFLOW = ("from_tensorflow", "tensorflow_network", "look.at_tensorflow")


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("rknn", {"pipelines.backends.rknn.sdk.api"}),
        ("doit", {"pipelines.front", "dodo"}),
        ("torch", {f"{EXPORT}.{name}" for name in TORCH}),
        ("tensorflow", {f"{EXPORT}.{name}" for name in TENSORFLOW}),
    ],
)
def test_each_big_package_is_known_in_one_place(package: str, allowed: set[str]) -> None:
    users = {
        module
        for module, file in MODULES.items()
        if any(name.split(".")[0] == package for name in look(file).imports)
    }
    assert all(any(user.startswith(name) for name in allowed) for user in some(users)), users


# A backend is one folder. These know one by its name all the same: module (or folder) -> why.
BY_NAME = {
    "pipelines.backends.table": "the list of all",
    "pipelines.doctor.accuracy": "its remedies are options of the SDK",
    "pipelines.doctor.remedy": "a remedy is options of the SDK",
    "pipelines.doctor.search": "tries options of the SDK",
    "pipelines.doctor.tune.variant": "a variant is options of the SDK",
    "pipelines.front.commands.models.handoff": "a sheet for the vendor's runtime",
    "pipelines.front.commands.models.new": "reads the vendor's model_config.yml",
    "pipelines.front.commands.models.quantize": "one file by fixed_point, without a recipe",
    "pipelines.front.commands.models.runtime": "runs the vendor's runtime",
    "pipelines.front.commands.models.tune": "chooses among the SDK's types of layers",
    "pipelines.front.doit.runtime_parts": "fetches the vendor's runtime",
    "pipelines.front.commands.releases.which": "reads .rknn files",
    "pipelines.release": "reads .rknn files",
    "pipelines.report.comparison.side": "reads .rknn files",
    "pipelines.report.inspecting": "reads .rknn files",
    "pipelines.report.accuracy_table": "a sweep of fixed_point, by its options",
    "pipelines.report.gates": "the runtime's verdicts, in their order",
}


def names_a_backend(module: str) -> set[str]:
    """The backends that a module names, in a word of its own or in an import."""
    backends = {file.parent.name for file in ROOT.glob("pipelines/backends/*/backend.py")}
    found = look(MODULES[module])
    words = found.words | {word for name in found.imports for word in _backend_of(name)}
    return {
        name for name in backends & words if not module.startswith(f"pipelines.backends.{name}")
    }


def _backend_of(name: str) -> list[str]:
    return name.removeprefix("pipelines.backends.").split(".")[:1] if "backends." in name else []


def test_a_backend_is_named_in_its_folder_alone() -> None:
    found = {name for name in MODULES if name.startswith("pipelines.") and names_a_backend(name)}
    known = {place for place in BY_NAME for name in found if f"{name}.".startswith(f"{place}.")}
    left = {name for name in found if not any(f"{name}.".startswith(f"{one}.") for one in BY_NAME)}
    assert not left, "ask BACKENDS[target.backend] instead"
    assert known == {*BY_NAME}, "these name none any more"


POSSESSIVE = re.compile(r"(?<![CcGg])\+\+|[*?}]\+|\(\?>")  # C++ and g++ are none


def test_patterns_are_those_of_python_3_10() -> None:
    """No possessive repeat and no atomic group: Python 3.10 refuses them, and 3.11.2 of Debian 12
    matches what it should not (gh-106052), so that text would go unquoted into dvc.lock."""
    files = [ROOT / "dodo.py", *(ROOT / "pipelines").rglob("*.py"), *(ROOT / "quant").rglob("*.py")]
    found = {
        f"{file.relative_to(ROOT)}: {text}"
        for file in some(files)
        for text in look(file).words
        if POSSESSIVE.search(text)
    }
    assert found == set()
