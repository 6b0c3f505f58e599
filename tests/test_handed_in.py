"""Commands work on the project that they are given: two of them, in one process."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from pipelines.building.project import Project
from pipelines.front.doit.cli import USAGE, main
from tests.conftest import ROOT
from tests.fake_project import RECIPE, STAGES
from tests.test_floors import MODULES
from tests.workspace import Workspace


@pytest.fixture
def projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Project]:
    """`left` and `right`, each with a model of its own name; nothing is built."""
    monkeypatch.chdir(tmp_path)  # main goes where the project is
    made = []
    for name in ("left", "right"):
        root = tmp_path / name
        for folder in ("models", "toolchains", ".npumake", ".dvc/tmp"):
            (root / folder).mkdir(parents=True)
        for file in ROOT.glob("toolchains/*"):
            shutil.copy(file, root / "toolchains")
        shutil.copy(ROOT / "pyproject.toml", root)
        workspace = Workspace.__new__(Workspace)
        workspace.root = root
        workspace.add(name, RECIPE, net__onnx=b"net", samples__npy=b"samples")
        made.append(Project(root))
    return made


def test_each_command_tells_of_its_own_project(
    projects: list[Project], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, project in zip(("left", "right"), projects, strict=True):
        steps = [f"{name}:{stage}" for stage in STAGES]
        assert main(project, ["plan"]) == 0
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == steps
        assert (project.root / "models" / name / "dvc.yaml").is_file()
        assert main(project, ["why"]) == 0
        told = capsys.readouterr().out
        assert told == "".join(f"{step}  stale\n  never built\n" for step in steps)
        assert main(project, ["list", "--all", "-s"]) == 0
        listed = capsys.readouterr().out
        assert all(f"R {step} " in listed for step in steps)
        assert main(project, ["info", f"{name}:export"]) == 0
        assert "never built" in capsys.readouterr().out
        assert main(project, ["ignore", f"{name}:export"]) == 0
        assert (project.root / ".npumake/ignored.json").is_file() is True
        assert main(project, ["forget", "--ignored"]) == 0
        assert not (project.root / ".npumake/ignored.json").exists()
        assert main(project, ["clean", "--dry-run"]) == 0
        capsys.readouterr()


def test_one_command_line_leaves_nothing_to_the_next(
    projects: list[Project], capsys: pytest.CaptureFixture[str]
) -> None:
    left, right = projects
    recipe = left.root / "models/left/recipe.yaml"
    other = left.root / "models/other"
    shutil.copytree(recipe.parent, other)
    (other / "recipe.yaml").write_text("model: other\nnonsense: 1\n")
    assert main(left, ["why"]) == USAGE
    assert "left out: other" in capsys.readouterr().err
    assert main(right, ["why"]) == 0
    shutil.rmtree(other)
    left.read_again()
    assert main(left, ["why"]) == 0
    assert "left out" not in capsys.readouterr().err


def test_no_module_holds_a_project() -> None:
    """But the one that a dodo.py imports: it stands for the folder where doit was started."""
    holding = {
        name
        for name, file in MODULES.items()
        for node in ast.parse(file.read_text()).body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "Project"
    }
    assert holding == {"pipelines.front.task_file"}
