"""docs/contributing.md, followed in a copy of the project: what it says to write is enough.

Each addition is checked to touch those files alone that the page names, is a commit there whose
`git diff --stat` the page has, and then runs.

    .venv/bin/python -m tests.test_contributing

prints the page's part.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.checkout import Checkout
from tests.conftest import ROOT
from tests.small_models import model_bytes, npy

ADDITIONS = Path(__file__).parent / "additions"
PAGE = (ROOT / "docs/contributing.md").read_text()
LONG = "a_name_of_a_node_that_nobody_can_remember_at_all"


def rows() -> dict[str, list[str]]:
    """What is new -> the files that the page names for it."""
    told = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    return {
        new: re.findall(r"`(\.{0,3}[\w./-]+(?:/|\.py|\.toml|\.yaml|\.txt))`", files)
        for new, files in told
    }


def put(root: Path, place: str, name: str) -> None:
    source, target = ADDITIONS / name, root / place
    copy = shutil.copytree if source.is_dir() else shutil.copyfile
    copy(source, target)


def insert(root: Path, file: str, before: str, text: str) -> None:
    """Text before the only place of another."""
    place = root / file
    old = place.read_text()
    assert old.count(before) == 1, (file, before)
    place.write_text(old.replace(before, text + before))


def rewrite(root: Path) -> None:
    put(root, "quant/rewrites/named/cancel_negation.py", "cancel_negation.py")


def finding(root: Path) -> None:
    put(root, "pipelines/backends/rknn/findings/bytes/long_names.py", "long_names.py")


def key(root: Path) -> None:
    insert(root, "pipelines/recipe/define/model.py", "    tool: str =", "    laps: int = 0\n")
    insert(
        root,
        "pipelines/recipe/define/sections.py",
        '        "tool": Key(\n',
        '        "laps": Key(Integer(0), "Said in the log."),\n',
    )
    insert(
        root,
        "pipelines/stages/simplify/jobs/simplify.py",
        "    told = job.params.simplify\n",
        '    print("laps:", job.params.simplify.laps)\n',
    )


def key_of_a_backend(root: Path) -> None:
    own = "pipelines/backends/qdq"
    insert(root, f"{own}/recipe/options.py", "    activation_type: str =", "    rounds: int = 0\n")
    insert(
        root,
        f"{own}/recipe/keys.py",
        '    "activation_type": Key(\n',
        '    "rounds": Key(Integer(0), "qdq: said in the log."),\n',
    )
    insert(
        root,
        f"{own}/jobs/build.py",
        "    options = Options(**told)\n",
        '    print("rounds:", job.params.options.rounds)\n',
    )


def subcommand(root: Path) -> None:
    put(root, "pipelines/front/commands/reports/greet.py", "greet.py")
    line = 'greet = "pipelines.front.commands.reports.greet:Greet"\n'
    insert(root, "pyproject.toml", 'table = "', line)


def backend(root: Path) -> None:
    put(root, "pipelines/backends/plain_copy", "plain_copy")
    insert(root, "pipelines/stages/versions.yaml", "export: ", "plain_copy: {build: 1}\n")


def toolkit(root: Path) -> None:
    """Made up; its packages are another's."""
    pins = root / "toolchains/rknn-2.5.0.txt"
    shutil.copyfile(pins, root / "toolchains/rknn-2.5.1.txt")


# Row of the page -> how its example is added, and how many files it may touch at most.
NEW: dict[str, tuple[Callable[[Path], None], int]] = {
    "rewrite of a recipe": (rewrite, 1),
    "finding": (finding, 1),
    "key of every backend": (key, 3),
    "key of one backend": (key_of_a_backend, 3),
    "subcommand": (subcommand, 2),
    "backend": (backend, 2),
    "version of rknn-toolkit2": (toolkit, 1),
}


# "its use" is where the key is read.
USES = {
    "key of every backend": ["pipelines/stages/simplify/jobs/simplify.py"],
    "key of one backend": ["pipelines/backends/qdq/jobs/build.py"],
}


def contents(root: Path) -> dict[str, bytes]:
    rooms = ("pipelines", "quant", "toolchains")
    files = (*root.glob("*.toml"), *(file for room in rooms for file in root.glob(f"{room}/**/*")))
    kept = (file for file in files if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in kept}


def touched(root: Path, add: Callable[[Path], None]) -> list[str]:
    """Files that an addition changes or makes; a new folder is one."""
    before = contents(root)
    folders = {file.rpartition("/")[0] for file in before}
    add(root)
    after = contents(root)
    assert before.keys() <= after.keys()
    changed = [file for file in after if before.get(file) != after[file]]
    return sorted({_new_folder(file, folders) or file for file in changed})


def _new_folder(file: str, known: set[str]) -> str | None:
    """The first folder above the file that was not there."""
    parts = file.split("/")[:-1]
    above = ("/".join(parts[: i + 1]) for i in range(len(parts)))
    return next(
        (f"{one}/" for one in above if not any(f"{k}/".startswith(f"{one}/") for k in known)), None
    )


def is_named(file: str, patterns: list[str]) -> bool:
    """Whether the page names the file: itself, its folder, or with NAME or VERSION in it."""
    return any(re.fullmatch(_of(pattern) + r"[a-z_/]*(\.py)?", file) for pattern in patterns)


def _of(pattern: str) -> str:
    return pattern.replace("NAME", "[a-z_]+").replace("VERSION", r"\d+\.\d+\.\d+")


class Copy(NamedTuple):
    """The project with all of it, one commit a row. touched, stats: by row.

    stats: what `git diff --stat` says of the commit.
    """

    workspace: Checkout
    touched: dict[str, list[str]]
    stats: dict[str, str]


def followed(folder: Path) -> Copy:
    made = Copy(Checkout(folder), {}, {})
    made.workspace.commit("as it is")
    for row, (add, _) in NEW.items():
        made.touched[row] = touched(made.workspace.root, add)
        made.workspace.commit(row)
        made.stats[row] = made.workspace.git("diff", "--stat=84,72", "HEAD~1", "HEAD")
    return made


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return followed(tmp_path_factory.mktemp("contributing") / "copy")


def told(stats: dict[str, str]) -> str:
    """The page's part: by row, what git says of the commit."""
    return "".join(f"    # {row}\n{indent(stat, '    ')}" for row, stat in stats.items())


@pytest.mark.parametrize("row", NEW)
def test_the_page_names_every_file_that_an_addition_touches(row: str, copy: Copy) -> None:
    files, patterns = copy.touched[row], rows()[row]
    assert files and len(files) <= NEW[row][1]
    uses = [file for file in files if not is_named(file, patterns)]
    assert uses == USES.get(row, [])


@pytest.mark.parametrize("row", NEW)
def test_a_commit_of_an_addition_has_these_files(row: str, copy: Copy) -> None:
    named = re.findall(r"^ (\S+) +\|", copy.stats[row], re.MULTILINE)
    folders = [one for one in copy.touched[row] if one.endswith("/")]
    assert sorted({_first_above(file, folders) or file for file in named}) == copy.touched[row]


def _first_above(file: str, folders: list[str]) -> str | None:
    return next((folder for folder in folders if file.startswith(folder)), None)


def test_the_page_has_what_git_says_of_each_commit(copy: Copy) -> None:
    assert told(copy.stats) in PAGE


def run(copy: Copy, code: str) -> str:
    """What Python prints in the copy."""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=copy.workspace.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_finding_is_told(copy: Copy) -> None:
    node = {"node": LONG, "op": "Conv", "bytes": 1, "kinds": {}}
    told = run(
        copy,
        "from pipelines.backends.rknn.findings.bytes.table import findings\n"
        "from quant.report.build_json import BuildReport\n"
        "from quant.report.bytes_report import BytesReport\n"
        f"held = BytesReport(1, 1, '', 8, True, {{}}, 0, [{node}])\n"
        "print(findings(held, BuildReport(), ['long_names'])[0]['message'])",
    )
    assert told == "1 names are long\n"


def test_the_command_is_told_of_and_runs(copy: Copy) -> None:
    workspace = copy.workspace
    assert "  ./doit greet            say how many models there are\n" in workspace.doit("help").out
    ran, count = workspace.doit("greet"), len([*workspace.root.glob("models/*/recipe.yaml")])
    assert (ran.code, ran.out) == (0, f"hello, {count} models\n")


def test_the_toolkit_is_known_by_its_pins(copy: Copy) -> None:
    """What it takes, and what its server imports, is what is known of the version before it."""
    assert "\nrknn-2.5.1 " in copy.workspace.doit("toolchains").out
    told = run(
        copy,
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from pipelines.backends.rknn.recipe.vendor import TOOLCHAINS\n"
        "from pipelines.run.toolchain.toolchain import load\n"
        "new, old = (load(Path('.'), f'rknn-2.5.{n}') for n in (1, 0))\n"
        "print(replace(old, name=new.name, file=new.file) == new, new.file, new.crashed)\n"
        "print(TOOLCHAINS['rknn-2.5.1'])",
    )
    assert told.splitlines() == [
        "True toolchains/rknn-2.5.1.txt the vendor's SDK",
        "Toolchain(version='2.5.1', extras=(), measured='2.5.0')",
    ]
    recipe = {
        "source": {"onnx": "net.onnx"},
        "inputs": {"x": {"shape": [1, 4]}},
        "quantize": {"calibration": {"npy": "x.npy"}},
        "targets": {"rk3588": {"toolchain": "rknn-2.5.1"}},
    }
    model = copy.workspace.add("n", recipe, net__onnx=b"", x__npy=b"")  # no step runs
    planned = copy.workspace.doit("plan", "n")
    assert planned.code == 0, planned.err
    assert "toolchains/rknn-2.5.1.txt" in (model / "dvc.yaml").read_text()
    shutil.rmtree(model)


@pytest.mark.toolchain
def test_the_rest_builds_a_model(copy: Copy) -> None:
    """With the new backend, the new rewrite and the new keys."""
    workspace = copy.workspace
    nodes = [
        helper.make_node("Neg", ["x"], ["a"], "first"),
        helper.make_node("Neg", ["a"], ["b"], "second"),
        helper.make_node("Relu", ["b"], ["y"], "relu"),
    ]
    recipe = {
        "source": {"onnx": "net.onnx"},
        "inputs": {"x": {"shape": [1, 4]}},
        "simplify": {"tool": "none", "rewrite": ["cancel_negation"], "laps": 3},
        "quantize": {"calibration": {"npy": "x.npy"}},
        "targets": {
            "copy": {"backend": "plain_copy"},
            "int8": {"backend": "qdq", "rounds": 5},
        },
    }
    workspace.add(
        "m",
        recipe,
        net__onnx=model_bytes(nodes, {}, {"x": [1, 4]}, {"y": [1, 4]}),
        x__npy=npy(np.ones((1, 4), np.float32)),
    )
    ran = workspace.doit("m")
    assert ran.code == 0, ran.err
    own = (f"m:{stage}@int8" for stage in ("quantize", "build", "analyze"))
    assert ran.steps == dict.fromkeys(("m:export", "m:simplify", "m:build@copy", *own), "ran")
    made = onnx.load(workspace.built("m", "copy/m_copy.onnx"))
    assert [node.op_type for node in made.graph.node if node.op_type != "Identity"] == ["Relu"]
    assert "laps: 3" in (workspace.root / ".npumake/logs/m/simplify.log").read_text()
    assert "rounds: 5" in (workspace.root / ".npumake/logs/m/build-int8.log").read_text()
    again = workspace.doit("m")
    assert (again.code, again.steps) == (0, {})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(told(followed(Path(folder) / "copy").stats), end="")
