"""Imports go one way: a file imports only from its own floor or lower ones."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# From the ground up. A module belongs to the longest name here that it starts with.
FLOORS = (
    ("quant",),
    (
        "pipelines.engine",
        "pipelines.where",
        "pipelines.atomic",
        "pipelines.confined",
        "pipelines.terminal",
        "pipelines.seal",
        "pipelines.shelf",
        "pipelines.whole",
        "pipelines.console",
        "pipelines.git",
        "pipelines.pip_config",
        "pipelines.installed",
        "pipelines.engine_files",
        "pipelines.toolchain_users",
        "pipelines.pins",
    ),
    ("pipelines.recipe", "pipelines.bootstrap", "pipelines.starter"),
    ("pipelines.toolchain",),
    ("pipelines.step",),
    ("pipelines.stages.stage", "pipelines.findings"),
    ("pipelines.stages", "pipelines.backends"),
    ("pipelines.content", "pipelines.dvc_repo", "pipelines.plan"),
    ("pipelines.facts",),
    ("pipelines.lock_text", "pipelines.journal", "pipelines.leftovers", "pipelines.parsed_files"),
    ("pipelines.dvc_stage",),
    ("pipelines.lock",),
    ("pipelines.store", "pipelines.tracked"),
    ("pipelines.dvc_remote",),
    ("pipelines.fork_server", "pipelines.last_node", "pipelines.worker"),
    ("pipelines.status",),
    ("pipelines.builder",),
    ("pipelines.done", "pipelines.project"),
    ("pipelines.doctor", "pipelines.report", "pipelines.release", "pipelines.new"),
    ("pipelines.tune",),
    ("pipelines.dvc_yaml",),
    ("pipelines.dvc_files", "pipelines.forecast"),
    ("pipelines.dvc_pull",),
    ("pipelines.front",),
    ("dodo",),
)
# Runs inside toolchains, on quant and the toolchain's own packages.
# LENT to jobs: no package but the SDK.
LENT = (
    "quant",
    "pipelines.engine",
    "pipelines.where",
    "pipelines.findings",
    "pipelines.backends.rknn",
)
INSIDE = ("pipelines.jobs", "pipelines.backends.rknn.sdk")


def modules() -> Iterator[tuple[str, Path]]:
    for file in [ROOT / "dodo.py", *ROOT.glob("pipelines/**/*.py"), *ROOT.glob("quant/**/*.py")]:
        if "torch_stand_in" not in file.parts:
            parts = file.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), file


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(module: str) -> int:
    names = [
        (name, level)
        for level, names in enumerate(FLOORS)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    return max(names, key=lambda pair: len(pair[0]))[1]


def is_inside(module: str) -> bool:
    return module.startswith(INSIDE)


MODULES = dict(modules())


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down(module: str) -> None:
    for name in imports(MODULES[module]):
        ours = name if name in MODULES else name.rpartition(".")[0]
        if ours not in MODULES or ours in ("pipelines", ""):
            continue
        if is_inside(module):
            assert is_inside(ours) or ours.startswith(LENT), name
        elif not is_inside(ours):
            assert floor(ours) <= floor(module), f"{module} imports {ours}, which is above it"


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("rknn", {"pipelines.backends.rknn.sdk"}),
        ("doit", {"pipelines.front", "dodo"}),
        ("torch", {"pipelines.jobs.export_torch"}),
        ("tensorflow", {"pipelines.jobs.export_tensorflow"}),
    ],
)
def test_each_big_package_is_known_in_one_place(package: str, allowed: set[str]) -> None:
    users = {
        module
        for module, file in MODULES.items()
        if any(name.split(".")[0] == package for name in imports(file))
    }
    assert all(any(user.startswith(name) for name in allowed) for user in users), users


def test_a_module_of_no_floor_is_noticed() -> None:
    with pytest.raises(ValueError, match="empty"):
        floor("pipelines.nowhere")
