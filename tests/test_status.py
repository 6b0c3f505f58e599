"""Is it stale? Whoever is asked names the same answer, and the run then does just that."""

from __future__ import annotations

import copy
import dataclasses
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.building import dry_run
from pipelines.building.builder import Builder, Outcome
from pipelines.building.dry_run import Foreseen
from pipelines.building.plan import Plan
from pipelines.building.project import Project
from pipelines.building.status import Restore, Run
from pipelines.front.doit.tasks import BringUpToDate
from pipelines.record import facts, seal
from pipelines.record.digest import md5_of
from pipelines.record.facts import Facts
from pipelines.record.step import Step
from pipelines.run.toolchain.toolchain import Environments
from pipelines.run.worker import Failed
from tests.conftest import lay_out
from tests.fake_project import STAGES, FakeProject
from tests.fake_steps import make_step, write_job
from tests.vacuous import some

A = "models/m/a.txt"
LOCK = "models/m/dvc.lock"
ONE, TWO, THREE = (f"models/m/build/{name}/out.txt" for name in ("one", "two", "three"))
# `one` tells the first letter of its input: not every edit of that changes what comes of it.
FIRST = """
def run(job):
    (job.out / "out.txt").write_text(job.inputs["a"].read_text()[0])
"""
STEPS = (
    make_step("one", {"a": A}, "first"),
    make_step("two", {"a": ONE}),
    make_step("three", {"a": TWO}),
)
UP, RESTORE, RUN, PENDING = "up to date", "restore", "run", "pending"
DOES = {UP: Outcome.UP_TO_DATE, RESTORE: Outcome.RESTORED, RUN: Outcome.RAN}


def plan_of(steps: tuple[Step, ...]) -> Plan:
    return Plan({}, {step.name: step for step in steps})


def outcomes(root: Path, steps: tuple[Step, ...]) -> list[Outcome | str]:
    """What a run does, step by step; a step that fails stops those that follow."""
    builder, done = Builder(root), list[Outcome | str]()
    try:
        for step in steps:
            done.append(builder.ensure(step))
    except Failed as error:
        done.append(str(error).splitlines()[0])
    finally:
        builder.close()
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, fake_toolchain: Path) -> Path:
    """Three steps in a row, built from `b` and then from `a`."""
    project = lay_out(tmp_path_factory.mktemp("status") / "built")
    shutil.copytree(fake_toolchain, project / ".npumake/toolchains", symlinks=True)
    write_job(project, "first", FIRST)
    write_job(project, "join")
    for text in ("b", "a"):
        (project / A).write_text(text)
        assert outcomes(project, STEPS) == [Outcome.RAN] * 3
    return project


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "project", symlinks=True))


def lose_object(path: str) -> Callable[[Path], object]:
    """Take from the cache what an output is kept as."""
    return lambda root: object_of(root, path).unlink()


def damage_object(path: str) -> Callable[[Path], object]:
    def act(root: Path) -> None:
        place = object_of(root, path)
        place.chmod(0o644)
        place.write_text("garbage")

    return act


def object_of(root: Path, path: str) -> Path:
    md5 = md5_of(root / path)
    return root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def remove(*paths: str) -> Callable[[Path], object]:
    def act(root: Path) -> None:
        for path in paths:
            place = root / path
            shutil.rmtree(place) if place.is_dir() else place.unlink()

    return act


def write(path: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / path).write_text(text)


def to_remote(root: Path) -> None:
    """All objects are elsewhere: what only a remote has."""
    (root / ".dvc/cache/files").rename(root / "remote")


def other_cache(root: Path) -> None:
    (root / ".dvc").mkdir(exist_ok=True)
    (root / ".dvc/config").write_text("[cache]\n    dir = other\n")


def other_pins(root: Path) -> None:
    (root / "toolchains/fake.txt").write_text("# other\n")
    Environments(root).make(["fake"])


def row_missing(root: Path) -> None:
    builder = Builder(root)
    builder.locks.forget(STEPS[1])
    builder.close()


@dataclass(frozen=True)
class Case:
    """answers: of the three steps. does: what they come to, where an answer is pending or a step
    fails. steps: as the recipe has them by then.
    """

    acts: tuple[Callable[[Path], object], ...]
    answers: tuple[str, str, str]
    does: tuple[Outcome | str, ...] = ()
    steps: tuple[Step, ...] = STEPS


def edited(name: str, **changed: object) -> tuple[Step, ...]:
    return tuple(
        dataclasses.replace(step, **changed) if step.stage == name else step  # type: ignore[arg-type]
        for step in STEPS
    )


RAN, RESTORED, SAME = Outcome.RAN, Outcome.RESTORED, Outcome.UP_TO_DATE
VALUE_2 = make_step("two", {"a": ONE}, sections={"value": 2})
CASES: Mapping[str, Case] = {
    "up to date": Case((), (UP, UP, UP)),
    "fresh": Case((remove("models/m/build", LOCK, ".dvc"),), (RUN, PENDING, PENDING), (RAN,) * 3),
    "output deleted, in the cache": Case((remove(TWO),), (UP, RESTORE, UP)),
    "all outputs deleted, in the cache": Case((remove("models/m/build"),), (RESTORE,) * 3),
    "output deleted, its object gone": Case(
        (lose_object(TWO), remove(TWO)), (UP, RUN, PENDING), (SAME, RAN, SAME)
    ),
    "output deleted, all objects in a remote alone": Case(
        (to_remote, remove(TWO)), (UP, RUN, PENDING), (SAME, RAN, SAME)
    ),
    "objects gone, outputs in place": Case((remove(".dvc/cache/files"),), (UP, UP, UP)),
    "output deleted, its object damaged": Case(
        (damage_object(TWO), remove(TWO)), (UP, RUN, PENDING), (SAME, RAN, SAME)
    ),
    "another cache": Case((other_cache,), (UP, UP, UP)),
    "another cache, output deleted": Case(
        (other_cache, remove(ONE)), (RUN, PENDING, PENDING), (RAN, SAME, SAME)
    ),
    "output edited": Case((write(TWO, "x"),), (UP, RESTORE, UP)),
    "output edited, its object gone": Case(
        (lose_object(TWO), write(TWO, "x")), (UP, RUN, PENDING), (SAME, RAN, SAME)
    ),
    "input edited": Case((write(A, "c"),), (RUN, PENDING, PENDING), (RAN,) * 3),
    "input edited, what comes of it will not change": Case(
        (write(A, "ab"),), (RUN, PENDING, PENDING), (RAN, SAME, SAME)
    ),
    "input edited, what comes of it was built before": Case(
        (write(A, "bc"),), (RUN, PENDING, PENDING), (RAN, RESTORED, RESTORED)
    ),
    "input as it was before": Case((write(A, "b"),), (RESTORE,) * 3),
    "input gone": Case((remove(A),), (RUN, PENDING, PENDING), (f"no file {A}",)),
    "recipe edited": Case((), (UP, RUN, PENDING), (SAME, RAN, RAN), (STEPS[0], VALUE_2, STEPS[2])),
    "recipe edited, input too": Case(
        (write(A, "c"),), (RUN, PENDING, PENDING), (RAN,) * 3, (STEPS[0], VALUE_2, STEPS[2])
    ),
    "version raised": Case((), (UP, RUN, PENDING), (SAME, RAN, SAME), edited("two", version=2)),
    "lock lost": Case((remove(LOCK),), (RESTORE,) * 3),
    "lock and run-cache lost": Case(
        (remove(LOCK, ".dvc/cache/runs"),), (RUN, PENDING, PENDING), (RAN,) * 3
    ),
    "lock cut off": Case((write(LOCK, "schema: '2.0"),), (RESTORE,) * 3),
    "row of the lock missing": Case((row_missing,), (UP, RESTORE, UP)),
    "row of the lock missing, run-cache too": Case(
        (row_missing, remove(".dvc/cache/runs")), (UP, RUN, PENDING), (SAME, RAN, SAME)
    ),
    "pins changed": Case((other_pins,), (RUN, PENDING, PENDING), (RAN, RAN, RAN)),
    "toolchain gone": Case((remove(".npumake/toolchains"),), (UP, UP, UP)),
    "toolchain gone, output deleted": Case(
        (remove(".npumake/toolchains", TWO),), (UP, RESTORE, UP)
    ),
}


def named(each: Foreseen) -> str:
    if each.after:
        return PENDING
    return {Restore: RESTORE, Run: RUN}.get(type(each.status), UP)


@pytest.mark.parametrize("name", CASES)
def test_all_name_one_answer_and_the_run_does_just_that(name: str, root: Path) -> None:
    case = CASES[name]
    for act in case.acts:
        act(root)
    builder = Builder(root)
    found = dry_run.make(plan_of(case.steps), builder, {step.name for step in case.steps})
    builder.close()
    assert tuple(map(named, found.steps.values())) == case.answers
    for each, answer in zip(found.steps.values(), case.answers, strict=True):
        assert bool(each.reasons) is (answer is not UP)
    assert found.runs == {
        step.name
        for step, answer in zip(case.steps, case.answers, strict=True)
        if answer in (RUN, PENDING)
    }
    does = case.does or tuple(DOES[answer] for answer in case.answers)
    assert tuple(outcomes(root, case.steps)) == does
    again = [SAME if isinstance(each, Outcome) else each for each in does]
    assert outcomes(root, case.steps) == again


@pytest.mark.parametrize("name", CASES)
def test_a_step_at_its_turn_is_what_the_run_makes_of_it(name: str, root: Path) -> None:
    """Asked just before: the same answer in the words of `status` and of `why`."""
    case = CASES[name]
    for act in case.acts:
        act(root)
    builder = Builder(root)
    for step in some(case.steps):
        status = builder.status(step)
        try:
            outcome = builder.ensure(step)
        except Failed:
            assert isinstance(status, Run)
            break
        assert outcome is {Restore: RESTORED, Run: RAN}.get(type(status), SAME)
        assert builder.why(step) == []
    builder.close()


def test_a_forced_step_runs_whatever_it_is(root: Path) -> None:
    builder = Builder(root, is_forced=True)
    found = dry_run.make(plan_of(STEPS), builder, {step.name for step in STEPS})
    assert [named(each) for each in found.steps.values()] == [RUN] * 3
    assert [builder.ensure(step) for step in STEPS] == [RAN] * 3
    builder.close()


@pytest.mark.parametrize(
    ("act", "looked_at"),
    [
        (lambda root: None, {"one": 1, "two": 1, "three": 1}),
        # Before the run, at its turn, and after it has run; what follows, at its turn again.
        (write(A, "ab"), {"one": 3, "two": 2, "three": 2}),
        (remove(THREE), {"one": 1, "two": 1, "three": 2}),
    ],
)
def test_a_run_looks_once_at_what_is_up_to_date(
    act: Callable[[Path], object],
    looked_at: dict[str, int],
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    act(root)
    seen = list[str]()

    def observe(step: Step, *given: Any) -> Facts:
        seen.append(step.stage)
        return facts.observe(step, *given)

    monkeypatch.setattr("pipelines.building.status.observe", observe)
    monkeypatch.setattr("pipelines.building.builder.observe", observe)
    project = Project(root)
    vars(project)["plan"] = plan_of(STEPS)
    names = {step.name for step in STEPS}
    project.invocation.settled = dry_run.make(project.plan, project.builder, names).settled
    for step in STEPS:  # as doit does
        action = BringUpToDate(project, step)
        assert action.is_idle() or action.execute() is None
    project.builder.close()
    assert Counter(seen) == looked_at


@pytest.fixture(scope="module")
def project_built(tmp_path_factory: pytest.TempPathFactory) -> FakeProject:
    project = FakeProject(tmp_path_factory.mktemp("front") / "base")
    project.add_models(1)
    ran = project.doit()
    assert ran.code == 0, ran.err
    return project


M = "models/m0000"
RKNN = f"{M}/build/rk3588/model.rknn"
UNTIL = "is stale, and may give other results"
FRONT: Mapping[str, tuple[Callable[[Path], object], dict[str, str]]] = {
    "up to date": (lambda root: None, {}),
    "build/ gone": (remove(f"{M}/build"), dict.fromkeys(STAGES, "restored")),
    "objects gone": (remove(".dvc/cache/files"), {}),
    "output gone": (remove(f"{M}/build/export"), {"export": "restored"}),
    "output and its object gone": (
        lambda root: (lose_object(RKNN)(root), remove(RKNN)(root)),
        {"build@rk3588": "ran"},
    ),
    "damaged object": (
        lambda root: (damage_object(RKNN)(root), remove(RKNN)(root)),
        {"build@rk3588": "ran"},
    ),
    "lock gone": (remove(f"{M}/dvc.lock"), dict.fromkeys(STAGES, "restored")),
    "source edited": (write(f"{M}/net.onnx", "other"), dict.fromkeys(STAGES, "ran")),
}


@pytest.mark.parametrize("name", FRONT)
def test_why_doits_list_the_run_and_the_fast_path_agree(
    name: str, project_built: FakeProject, tmp_path: Path
) -> None:
    act, does = FRONT[name]
    project = copy.copy(project_built)
    project.root = tmp_path / "project"
    subprocess.run(["cp", "-a", str(project_built.root), str(project.root)], check=True)
    time.sleep(0.05)  # files younger than a tick of the clock are not sealed
    project.doit()  # the times that a seal holds are those of the copy
    act(project.root)
    assert (seal.check(str(project.root), []) is None) is (name != "up to date")
    told = re.findall(r"^m0000:(\S+)  (.+)\n((?:  .+\n)*)", project.doit("why").out, re.M)
    pending = {stage for stage, _, why in told if UNTIL in why}
    certain = {stage for stage, what, _ in told if what == "stale"} - pending
    restored = {stage for stage, _, why in told if "it is restored from the cache" in why}
    listed = re.findall(r"^([RUE]) m0000:(\S+)", project.doit("list", "--all", "-s").out, re.M)
    assert {stage for mark, stage in listed if mark != "U"} == certain | pending
    ran = {step.partition(":")[2]: what for step, what in project.doit().steps.items()}
    assert ran == does
    assert certain <= ran.keys() <= certain | pending
    assert restored == {stage for stage, what in ran.items() if what == "restored"}
    assert project.doit("why").out == "".join(f"m0000:{stage}  up to date\n" for stage in STAGES)
    assert seal.check(str(project.root), []) == project.doit().out
