"""A row tells of this run: what failed, was interrupted or not reached; other models go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fake_project import FakeProject

FAILS = "from pipelines.run.jobs.refusal import Refusal\ndef run(job): raise Refusal('no', 'try')\n"


@pytest.fixture
def project(tmp_path: Path) -> FakeProject:
    """Two models, built."""
    made = FakeProject(tmp_path)
    made.add_models(2)
    ran = made.doit()
    assert ran.code == 0, ran.err
    return made


def said(out: str, model: str, *words: str) -> bool:
    """Whether a model's row has these words, in order; a narrow table has narrow gaps."""
    told = next(line for line in out.splitlines() if line.startswith(model))
    return " ".join(words) in " ".join(told.split())


def row(out: str, model: str) -> list[str]:
    """The cells of a model's row, words of one cell joined by one blank."""
    (line,) = (line for line in out.splitlines() if line.startswith(f"{model}@"))
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def fail(project: FakeProject, job: str) -> None:
    (project.root / "pipelines/backends/rknn/jobs" / f"{job}.py").write_text(FAILS)


def test_a_step_that_failed_stands_in_the_row_and_the_other_model_keeps_its_numbers(
    project: FakeProject,
) -> None:
    fail(project, "quantize")
    project.edit("m0000", "samples: 4", "samples: 3")
    ran = project.doit()
    assert ran.code == 1
    assert row(ran.out, "m0000")[:4] == ["m0000@rk3588", "1/0/1", "failed:", "quantize"]
    assert row(ran.out, "m0001")[2:7] == ["2.0 KB", "1.0 KB", "0.50", "0.5%", "0.9990"]


def test_a_failed_analyze_leaves_the_built_file_in_the_table(project: FakeProject) -> None:
    fail(project, "analyze")
    project.edit("m0000", "analyze:\n  samples: 2", "analyze:\n  samples: 1")
    ran = project.doit()
    assert ran.code == 1
    assert row(ran.out, "m0000")[2:6] == ["1.0 KB", "1.0 KB", "1.00", "failed"]


def test_a_step_fails_and_other_models_go_on(tmp_path: Path) -> None:
    project = FakeProject(tmp_path)
    project.add_models(2)
    fail(project, "analyze")
    ran = project.doit("-n", "1")
    assert ran.code == 1
    assert ran.steps["m0000:analyze@rk3588"] == ran.steps["m0001:analyze@rk3588"] == "FAILED"


def test_reports_of_another_network_are_not_shown_where_analyze_was_not_asked_for(
    project: FakeProject,
) -> None:
    project.edit("m0000", "samples: 4", "samples: 3")
    for _ in range(2):
        ran = project.doit("m0000:build@rk3588")
        assert ran.code == 0, ran.err
        told = next(line for line in ran.out.splitlines() if line.startswith("m0000"))
        assert " not asked for " in told


def test_what_was_interrupted_and_not_reached_stands_in_the_rows(tmp_path: Path) -> None:
    project = FakeProject(tmp_path, seconds=20.0)
    project.add_models(3)
    process = subprocess.Popen(
        [sys.executable, "-s", "dodo.py", "-n", "1"],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while not list((project.root / ".npumake").glob("work/m0000-*/out")):
        assert time.monotonic() < end, "the export never began"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert said(out, "m0000", "interrupted:", "export")
    assert said(out, "m0002", "not reached:", "export")


def test_a_mistake_in_a_recipe_stops_that_model_alone(project: FakeProject) -> None:
    registry = (project.root / "dvc.yaml").read_text()
    project.edit("m0000", "samples: 4", "sampels: 4")
    project.edit("m0001", "samples: 4", "samples: 3")
    ran = project.doit()
    assert ran.code == 3
    assert "models/m0000/recipe.yaml:" in ran.err
    assert "did you mean `samples`?" in ran.err
    assert ran.steps["m0001:build@rk3588"] == "ran"
    assert [line for line in ran.out.splitlines() if line.startswith("m0000")] == []
    assert (project.root / "dvc.yaml").read_text() == registry
    assert project.doit().code == 3  # no seal hides it
    assert project.doit("m0001").code == 0
    named = project.doit("m0000")
    assert named.code == 3
    assert named.steps == {}
