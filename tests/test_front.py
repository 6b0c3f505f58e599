"""What the front says: to words it does not know, in odd terminals, where it may not write."""

from __future__ import annotations

import ast
import ctypes
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import terminal
from tests.conftest import ROOT
from tests.fake_project import FakeProject

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24
MADE = ("m0000", "m0001")
MODELS = 40


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> FakeProject:
    """One model built, forty that are not."""
    project = FakeProject(tmp_path_factory.mktemp("front"))
    project.add_models(MODELS)
    (project.root / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    ran = project.doit("m0000")
    assert ran.code == 0, ran.err
    return project


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["build"], "./doit [MODEL|MODEL@TARGET ...]"),
        (["status"], "./doit why"),
        (["statsu"], "./doit why"),
        (["bulid"], "to build what is stale: ./doit [MODEL|MODEL@TARGET ...]"),
        (["version"], "./doit --version"),
        (["convert"], "./doit quantize --input FILE"),
        (["m0000", "--target", "rk3588"], "./doit MODEL@TARGET"),
        (["--trget", "rk3588"], "./doit MODEL@TARGET"),
        (["doctor", "m0000", "--platform", "rk3588"], "./doit MODEL@TARGET"),
        (["doctr"], "did you mean `doctor`?"),
        (["m0000@rk3558"], "did you mean `m0000@rk3588`?"),
        (["zzzzzzz"], "models: m0000, m0001"),
        (["why", "zzzzzzz"], "see ./doit list"),
        (["ignore", "zzzzzzz"], "see ./doit list"),
        (["doctor", "zzzzzzz"], "and 16 more"),
        (["dumpdb"], "dvc.lock is the database"),
    ],
)
def test_an_unknown_word_is_answered_in_six_lines(
    project: FakeProject, words: list[str], told: str
) -> None:
    ran = project.doit(*words)
    assert (ran.code, ran.out) == (3, "")
    assert told in ran.err
    assert len(ran.err.splitlines()) <= 6


def test_version_and_help(project: FakeProject) -> None:
    assert project.doit("--version").out.startswith("npumake 0.1.0")
    told = project.doit("--help").out
    assert told == project.doit("help").out == project.doit("-h").out
    assert "./doit why" in told and "dodo.py" not in told
    assert max(map(len, told.splitlines())) <= 80


def test_info_tells_what_a_step_is_and_why_it_is_stale(project: FakeProject) -> None:
    assert project.doit("info", "m0000:build@rk3588").out.splitlines()[:3] == [
        "m0000:build@rk3588",
        "  state         up to date",
        "  runs in       rknn-2.5.0",
    ]
    told = project.doit("info", "m0001:build@rk3588").out
    assert "  state         stale\n                  never built\n" in told
    assert "models/m0001/build/rk3588/model.rknn (not there)\n" in told


def test_clean_dry_tells_what_clean_removes(project: FakeProject) -> None:
    told = project.doit("clean", "--dry", "m0000:build@rk3588", "m0001").out
    artifacts = [f"models/m0000/build/rk3588/{name}" for name in ("build.json", "model.rknn")]
    assert told == "".join(f"would remove {path}\n" for path in artifacts)
    assert all((project.root / path).is_file() for path in artifacts)
    done = project.doit("clean", "m0000:build@rk3588").out
    assert done == told.replace("would remove", "removed")
    assert not any((project.root / path).exists() for path in artifacts)
    assert project.doit("m0000").steps == {"m0000:build@rk3588": "restored"}


def test_an_output_more_in_a_lock_is_told_as_what_it_is(project: FakeProject) -> None:
    lock = project.root / "models/m0000/dvc.lock"
    before = lock.read_text()
    row = "    - path: notes.txt\n      hash: md5\n      md5: " + "a" * 32 + "\n      size: 1\n"
    first, outs, rest = before.partition("    outs:\n")
    lock.write_text(first + outs + row + rest)
    ran = project.doit("m0000")
    assert ran.err.startswith(
        "models/m0000/dvc.lock is not used for export: "
        "`models/m0000/notes.txt` is no output of this step\n"
    )
    assert (ran.steps, lock.read_text()) == ({"m0000:export": "restored"}, before)
    assert not (project.root / "models/m0000/notes.txt").exists()


def test_two_clean_builds_write_the_same_text(project: FakeProject, tmp_path: Path) -> None:
    """Whatever the order in which the steps end."""
    texts = []
    for jobs in (1, 4):
        other = FakeProject(tmp_path / str(jobs))
        other.add_models(2)
        assert other.doit("-n", str(jobs)).code == 0
        files = ("dvc.yaml", *(f"models/{m}/dvc.{kind}" for m in MADE for kind in ("lock", "yaml")))
        texts.append([(other.root / file).read_text() for file in files])
    assert texts[0] == texts[1]


def on_terminal(project: FakeProject, columns: int, *words: str, **environment: str) -> str:
    """What a terminal of that width is sent."""
    kept = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    return terminal.told(project.root, words, kept | environment, columns)


@pytest.mark.parametrize("columns", [0, 1, 80])
def test_a_terminal_of_any_width(project: FakeProject, columns: int) -> None:
    told = on_terminal(project, columns, "m0000", TERM="xterm")
    assert "m0000@rk3588" in told and "Traceback" not in told
    if columns != 1:
        assert "m0000@rk3588  0/0/5  " in told


def test_a_dumb_terminal_gets_no_escapes(project: FakeProject) -> None:
    words = ("m0000", "-a")
    assert "\x1b[K" in on_terminal(project, 80, *words, TERM="xterm")
    told = on_terminal(project, 80, *words, TERM="dumb")
    assert "\x1b" not in told and "asked for by -a" in told


def as_somebody_without_rights() -> None:
    """Before exec: root, too, has no more rights than the modes give."""
    libc = ctypes.CDLL(None)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    project = FakeProject(tmp_path / "project")
    project.add_models(1)
    places = [project.root, *(p for p in project.root.rglob("*") if not p.is_symlink())]
    modes = {place: place.stat().st_mode for place in places}
    for place, mode in modes.items():
        place.chmod(mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    yield project.root
    for place, mode in modes.items():
        place.chmod(mode)


@pytest.mark.parametrize(
    "words",
    [
        ["doit"],  # no .venv either
        ["dodo.py"],
        ["dodo.py", "clean"],
        ["dodo.py", "ignore", "m0000:export"],
        ["dodo.py", "plan"],
    ],
)
def test_an_unwritable_checkout_is_told_in_a_sentence(unwritable: Path, words: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, *words],
        cwd=unwritable,
        capture_output=True,
        text=True,
        preexec_fn=as_somebody_without_rights,
    )
    assert ran.returncode != 0
    assert "Permission denied" in ran.stderr and "mend its rights" in ran.stderr
    assert len(ran.stderr.splitlines()) == 2


OLD = """
import sys
sys.version_info = (3, 4, 10, "final", 0)
sys.version = "3.4.10 (as if)"
sys.argv = ["doit", "list"]
exec(compile(open("doit").read().replace("if not is_made(home)", "if True"), "doit", "exec"),
     {"__name__": "__main__", "__file__": "doit"})
"""


def test_an_old_python_finds_a_newer_one_or_says_which(tmp_path: Path) -> None:
    newer = tmp_path / "python3.11"
    newer.write_text('#!/bin/sh\n[ "$1" = -c ] || echo "$@"\n')
    newer.chmod(0o755)
    told = [
        subprocess.run(
            [sys.executable, "-c", OLD],
            cwd=ROOT,
            env={"PATH": path},
            capture_output=True,
            text=True,
        )
        for path in (str(tmp_path), "/nowhere")
    ]
    assert told[0].stdout == f"{ROOT / 'doit'} list\n"
    assert told[1].stderr.startswith("npumake: Python 3.4.10 can't run this")


def test_an_old_python_can_read_the_front_door() -> None:
    tree = ast.parse((ROOT / "doit").read_text(), feature_version=(3, 4))
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match)
    assert not [node for node in ast.walk(tree) if isinstance(node, newer)]
    future = [
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.ImportFrom) and n.module != "pipelines.run.toolchain"
    ]
    assert not future
