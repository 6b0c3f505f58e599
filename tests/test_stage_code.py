"""No change of a job, a rule or a default leaves old results up to date unsaid."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from pipelines.backends import recipes
from pipelines.building import plan as plans
from pipelines.stages.stage import sections
from tests import stage_code
from tests.conftest import ROOT
from tests.test_floors import MODULES
from tests.vacuous import some

pytestmark = pytest.mark.xdist_group("parsed")  # with tests/test_floors.py, which parses the same

# Jobs of steps that are in no plan and keep nothing: their answer is told and thrown away.
LOOK = "pipelines.stages.export.jobs.look"
ASIDE = {
    *(f"{LOOK}.at_{kind}" for kind in ("onnx", "tflite", "torch", "tensorflow")),
    "pipelines.release.jobs.sbom",
}
HOW = "raise the version in pipelines/stages/versions.yaml if the output changes; then {}"


def test_code_is_as_noted_or_its_version_was_raised() -> None:
    left = stage_code.reached(stage_code.noted(), stage_code.present())
    how = HOW.format(".venv/bin/python -m tests.stage_code [--same]")
    assert not left, f"{left}: {how}"
    assert stage_code.noted() == stage_code.present(), how


def test_defaults_are_as_jobs_are_given_them() -> None:
    """By them a changed default makes a step stale, and by the digests a changed stand-in."""
    how = "run .venv/bin/python -m tests.stage_code"
    assert stage_code.RESOLVED.read_text() == stage_code.defaults_text(), how


def test_a_section_of_nothing_is_no_fact() -> None:
    raw = {"a": None, "b": {"c": 1, "d": None}, "e": {}}
    assert sections(raw, "a", "b.c", "b.d", "b.c.f", "e", "g.h") == {"b.c": 1, "e": {}}


def test_a_step_stands_on_its_defaults() -> None:
    plan = plans.make(recipes.load_all(ROOT), ROOT)
    for step in some(plan.steps.values()):
        has_none = step.version_key == "rknn.runtime"
        assert (step.version_key in step.defaults) is not has_none, step.name
        held = {name for name in step.toolchains if name.startswith("rknn") and "torch" not in name}
        told = {name.partition(".")[2] for name in step.defaults if name.startswith("toolchains.")}
        assert told == {name.replace(".", "_") for name in held}, step.name


def test_every_job_belongs_to_a_stage() -> None:
    jobs = {
        name
        for name, file in MODULES.items()
        if ".jobs." in name and "\ndef run(job" in file.read_text()
    }
    known = {name for names in stage_code.STAGES.values() for name in names if name[0] != "+"}
    assert jobs - known == ASIDE
    assert known <= jobs


def test_the_plan_runs_what_is_listed() -> None:
    plan = plans.make(recipes.load_all(ROOT), ROOT)
    assert {step.version_key for step in plan.steps.values()} >= {"export", "rknn.analyze"}
    for step in plan.steps.values():
        modules = {work.module for work in step.work()}
        assert modules <= {*stage_code.STAGES[step.version_key]}, step.name


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("pipelines/stages/export/jobs/check_onnx.py", {"export"}),
        ("quant/rewrites/named/merge_groups.py", {"simplify"}),
        ("pipelines/backends/rknn/sdk/compile.py", {"rknn.build", "rknn.analyze"}),
        ("pipelines/backends/rknn/torch_stand_in/torch/__init__.py", {"rknn.quantize"}),
        ("toolchains/toolchains.yaml", {"rknn.quantize", "rknn.build", "rknn.analyze"}),
        ("quant/fixed_point/lower.py", {"fixed_point.build"}),
        (stage_code.DEFAULTS, {*stage_code.STAGES}),
    ],
)
def test_a_changed_file_reaches_its_stages(file: str, stages: set[str]) -> None:
    before = copy.deepcopy(stage_code.present())
    assert file in before["code"]
    before["code"][file] = "another"
    left = stage_code.reached(before, stage_code.present())
    assert stages <= left.keys()
    assert all(files == [file] for files in left.values())
    for stage in left:
        before["versions"][stage] -= 1
    assert not stage_code.reached(before, stage_code.present())


@pytest.mark.parametrize(
    ("text", "is_same"),
    [
        ('"""Another text."""\n\nX = 1  # why\n\n\ndef f():\n    """Doc."""\n    return X\n', True),
        ("X = 1\ndef f():\n    return X\n", True),
        ("X = 2\ndef f():\n    return X\n", False),
        ('X = 1\ndef f():\n    return "# X"\n', False),
    ],
)
def test_comments_and_docstrings_are_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, is_same: bool
) -> None:
    monkeypatch.setattr(stage_code, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("X = 1\n\n\ndef f():\n    return X\n")
    (tmp_path / "b.py").write_text(text)
    assert (stage_code.digest("a.py") == stage_code.digest("b.py")) is is_same
