"""What does not rebuild, the true reasons of a restore, and dvc.lock in the order of the plan."""

from __future__ import annotations

import pytest
import yaml

from pipelines.dvc import lock_text
from tests.dvc_runner import dvc, git
from tests.fake_project import STAGES, FakeProject

M = "models/m0000"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> FakeProject:
    """A model calibrated on photographs, built, in git with its dvc.lock."""
    project = FakeProject(tmp_path_factory.mktemp("reasons"))
    project.add_models(1)
    (project.root / M / "data").mkdir()
    (project.root / M / "data/0.png").write_bytes(b"0")
    project.edit("m0000", "npy: samples.npy", "images: data")
    project.edit("m0000", "    mean:", "    color: rgb\n    mean:")
    (project.root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (project.root / ".gitignore").write_text("build/\n.npumake/\n.dvc/cache/\n.dvc/tmp/\n")
    git(project.root, "init", "-q", "-b", "main")
    ran = project.doit()
    assert ran.code == 0, ran.err
    commit(project)
    return project


def commit(project: FakeProject) -> None:
    git(project.root, "add", "--all")
    git(project.root, "commit", "-q", "-m", "built")


def lock(project: FakeProject) -> str:
    return (project.root / M / "dvc.lock").read_text()


def test_stages_stand_in_the_order_of_the_plan(project: FakeProject) -> None:
    text = lock(project)
    assert [name.replace("-", "@") for name in yaml.safe_load(text)["stages"]] == list(STAGES)
    backwards = reversed(lock_text.split(text).values())
    (project.root / M / "dvc.lock").write_text(lock_text.join(backwards))
    assert lock(project) != text
    assert set(project.doit("-a").steps) == {f"m0000:{stage}" for stage in STAGES}
    assert lock(project) == text


def test_after_git_switch_the_reason_is_another_build(project: FakeProject) -> None:
    git(project.root, "switch", "-q", "-c", "other")
    project.edit("m0000", "samples: 2", "samples: 3")
    project.doit()
    commit(project)
    git(project.root, "switch", "-q", "main")
    ran = project.doit()
    assert ran.steps == {"m0000:analyze@rk3588": "restored"}
    assert "output rk3588/report/bytes.json is of another build than dvc.lock's" in ran.err
    (project.root / M / "build/rk3588/report/metrics.json").write_text("{}")
    ran = project.doit()
    assert ran.steps == {"m0000:analyze@rk3588": "restored"}
    assert "rk3588/report/metrics.json was changed after it was made" in ran.err
    (project.root / M / "dvc.lock").unlink()
    ran = project.doit()
    assert set(ran.steps.values()) == {"restored"}
    assert ran.err.count("not in this dvc.lock, but built before") == len(STAGES)


def test_a_text_among_photographs_rebuilds_nothing(project: FakeProject) -> None:
    before = lock(project)
    (project.root / M / "data/README.txt").write_text("from my camera")
    ran = project.doit()
    assert set(ran.steps.values()) == {"restored"}
    assert lock(project) != before
    assert "Data and pipelines are up to date" in dvc(project.root, "status")
    assert project.doit().steps == {}
    (project.root / M / "data/1.png").write_bytes(b"1")
    assert "ran" in project.doit().steps.values()


def test_another_mean_does_not_repeat_export(project: FakeProject) -> None:
    project.edit("m0000", "- 127\n", "- 120\n")
    steps = project.doit().steps
    assert "m0000:export" not in steps
    assert steps["m0000:quantize@rk3588"] == "ran"
    project.edit("m0000", "- 16\n", "- 15\n")
    assert project.doit("m0000:export").steps == {"m0000:export": "ran"}
