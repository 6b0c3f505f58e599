"""One step up to date: run, restored, or nothing to do; and never a half-made result."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from pipelines.building.builder import Builder, Outcome
from pipelines.record.step import Step, Work
from pipelines.run.last_node import last_node
from pipelines.run.worker import Failed
from tests.fake_steps import make_step, write_job
from tests.processes import is_running
from tests.small_models import conv_net


@pytest.fixture
def builder(project: Path) -> Iterator[Builder]:
    write_job(project, "join")
    (project / "models/m/a.txt").write_text("a")
    builder = Builder(project)
    yield builder
    builder.close()


STEP = make_step("one", {"a": "models/m/a.txt"})
OUT = "models/m/build/one/out.txt"


def again(builder: Builder) -> Builder:
    """The same project in a later run: nothing remembered but what is on disk."""
    builder.close()
    return Builder(builder.root)


def test_runs_once_then_has_nothing_to_do(builder: Builder) -> None:
    assert builder.ensure(STEP) is Outcome.RAN
    assert (builder.root / OUT).read_text() == "a+1"
    later = again(builder)
    assert later.why(STEP) == []
    assert later.ensure(STEP) is Outcome.UP_TO_DATE


def test_touch_changes_nothing(builder: Builder) -> None:
    builder.ensure(STEP)
    (builder.root / "models/m/a.txt").touch()
    (builder.root / OUT).touch()
    assert again(builder).why(STEP) == []


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda root: (root / "models/m/a.txt").write_text("b"), "file models/m/a.txt changed"),
        (lambda root: (root / OUT).unlink(), f"output {OUT} is missing"),
        (lambda root: (root / OUT).write_text("x"), f"output {OUT} was changed after it was made"),
        (
            lambda root: (root / "toolchains/fake.txt").write_text("# other pins\n"),
            "toolchain fake changed",
        ),
        (lambda root: (root / "models/m/dvc.lock").unlink(), "never built"),
        (lambda root: (root / "models/m/dvc.lock").write_text("schema: '2.0"), "never built"),
        (lambda root: (root / "models/m/dvc.lock").write_text(""), "never built"),
        (
            lambda root: (root / "models/m/dvc.lock").write_text("stages: {one: {cmd: x}}"),
            "never built",
        ),
    ],
)
def test_why_names_what_changed(builder: Builder, edit: object, told: str) -> None:
    builder.ensure(STEP)
    builder.close()
    edit(builder.root)  # type: ignore[operator]
    assert [str(change) for change in again(builder).why(STEP)] == [told]


def test_why_names_the_leaf_of_a_parameter(builder: Builder) -> None:
    old = dataclasses.replace(STEP, sections={"value": 1, "quantize": {"algorithm": "normal"}})
    new = dataclasses.replace(STEP, sections={"value": 1, "quantize": {"algorithm": "mmse"}})
    builder.ensure(old)
    assert [str(c) for c in builder.why(new)] == ["param quantize.algorithm normal -> mmse"]
    raised = dataclasses.replace(old, version=2)
    assert [str(c) for c in builder.why(raised)] == ["stage version one 1 -> 2"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (1, "1", "param value 1 -> '1'"),
        ("True", True, "param value 'True' -> True"),
        (None, "None", "param value None -> 'None'"),
        ([1], "[1]", "param value [1] -> '[1]'"),
        ({}, "{}", "param value {} -> '{}'"),
        ("", "''", "param value '' -> \"''\""),
        ("-1.5", -1.5, "param value '-1.5' -> -1.5"),
        ("net.py:build", "./x", "param value net.py:build -> ./x"),
    ],
)
def test_text_is_not_what_it_looks_like(
    builder: Builder, old: object, new: object, told: str
) -> None:
    """DVC tells them apart, and so would the job."""
    builder.ensure(dataclasses.replace(STEP, sections={"value": old}))
    changed = dataclasses.replace(STEP, sections={"value": new})
    assert [str(c) for c in builder.why(changed)] == [told]


@pytest.mark.parametrize("lose", [OUT, "models/m/build", "models/m/dvc.lock"])
def test_what_was_lost_is_restored_from_the_cache(builder: Builder, lose: str) -> None:
    builder.ensure(STEP)
    builder.close()
    place = builder.root / lose
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    write_job(builder.root, "join", "raise SystemExit('must not run')")
    later = again(builder)
    assert later.ensure(STEP) is Outcome.RESTORED
    assert (builder.root / OUT).read_text() == "a+1"
    assert again(later).why(STEP) == []


def test_going_back_restores(builder: Builder) -> None:
    builder.ensure(STEP)
    (builder.root / "models/m/a.txt").write_text("b")
    assert builder.ensure(STEP) is Outcome.RAN
    (builder.root / "models/m/a.txt").write_text("a")
    assert builder.ensure(STEP) is Outcome.RESTORED
    assert (builder.root / OUT).read_text() == "a+1"


def test_damaged_cache_object_is_not_restored_but_made_again(builder: Builder) -> None:
    builder.ensure(STEP)
    for file in (builder.root / ".dvc/cache/files/md5").rglob("*"):
        if file.is_file():
            file.chmod(0o644)
            file.write_text("garbage")
    (builder.root / OUT).unlink()
    later = again(builder)
    assert later.ensure(STEP) is Outcome.RAN
    assert (builder.root / OUT).read_text() == "a+1"


def test_folders_are_outputs_too(builder: Builder) -> None:
    write_job(
        builder.root,
        "folder",
        "def run(job):\n"
        "    (job.out / 'd' / 'e').mkdir(parents=True)\n"
        "    (job.out / 'd' / 'x').write_text('1')\n"
        "    (job.out / 'd' / 'e' / 'y').write_text('2')\n",
    )
    step = make_step("dir", {}, "folder", outputs={"d": "models/m/build/d"})
    user = make_step("user", {"d": "models/m/build/d"}, "count")
    write_job(
        builder.root,
        "count",
        "def run(job):\n"
        "    files = sorted(p.name for p in job.inputs['d'].rglob('*') if p.is_file())\n"
        "    (job.out / 'out.txt').write_text(' '.join(files))\n",
    )
    assert builder.ensure(step) is Outcome.RAN
    assert builder.ensure(user) is Outcome.RAN
    assert (builder.root / "models/m/build/user/out.txt").read_text() == "x y"
    (builder.root / "models/m/build/d/e/y").write_text("3")
    assert "was changed" in str(builder.why(step)[0])
    assert builder.ensure(step) is Outcome.RESTORED
    assert (builder.root / "models/m/build/d/e/y").read_text() == "2"


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (
            "import os, signal\ndef run(job): os.kill(os.getpid(), signal.SIGSEGV)",
            "died of SIGSEGV",
        ),
        ("import os\ndef run(job): os.abort()", "died of SIGABRT"),
        ("import os, signal\ndef run(job): os.kill(os.getpid(), 9)", "out of memory?"),
        ("import os\ndef run(job): os._exit(7)", "ended with code 7"),
        ("def run(job): raise ValueError('no such layer')", "ValueError: no such layer"),
        (
            "from pipelines.run.jobs.refusal import Refusal\n"
            "def run(job): raise Refusal('bad image', 'convert it')",
            "bad image\n  convert it",
        ),
        ("def run(job): raise OSError(28, 'No space left on device')", "the disk is full"),
        ("def run(job): pass", "without making out.txt"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("print('E REGTASK: bad width')\nimport os\nos._exit(1)", "E REGTASK: bad width"),
    ],
)
def test_a_failing_job_leaves_nothing(builder: Builder, job: str, told: str) -> None:
    write_job(builder.root, "fails", job)
    step = make_step("fails", {"a": "models/m/a.txt"}, "fails")
    with pytest.raises(Failed) as failure:
        builder.ensure(step)
    assert told in str(failure.value)
    assert not (builder.root / "models/m/build/fails").exists()
    assert list((builder.root / ".npumake/work").iterdir()) == []
    assert again(builder).locks.entry(step) is None


def test_a_step_is_stopped_at_its_limit_with_all_it_started(builder: Builder) -> None:
    """Also a process of the job's own, and a job that waits behind another one of the step."""
    write_job(
        builder.root,
        "sleeps",
        "import subprocess, sys, time\n"
        "from pathlib import Path\n"
        "def run(job):\n"
        "    child = subprocess.Popen(['sleep', '300'])\n"
        "    Path(job.params['pid']).write_text(str(child.pid))\n"
        "    print('error: no end of it', flush=True)\n"
        "    time.sleep(300)\n",
    )
    pid = builder.root / "pid"
    step = dataclasses.replace(make_step("sleeps", {}, "sleeps", {"pid": str(pid)}), limit_s=1.5)
    with pytest.raises(Failed) as failure:
        builder.ensure(step)
    assert str(failure.value) == (
        "ran longer than the 0.025 minutes that `limits` allows a step in models/m/recipe.yaml, "
        "and was stopped\n  | error: no end of it\n"
        "  raise `limits: {minutes: ...}`, or give the step less to do\n"
        "  log: .npumake/logs/m/sleeps.log"
    )
    assert not is_running(int(pid.read_text()))
    assert list((builder.root / ".npumake/work").iterdir()) == []
    assert builder.ensure(STEP) is Outcome.RAN  # the toolchain's server lives on
    assert again(builder).locks.entry(step) is None


def test_what_a_job_leaves_running_ends_with_it(builder: Builder) -> None:
    write_job(
        builder.root,
        "leaves",
        "import subprocess\n"
        "def run(job):\n"
        "    child = subprocess.Popen(['sleep', '300'])\n"
        "    (job.out / 'out.txt').write_text(str(child.pid))\n",
    )
    builder.ensure(make_step("leaves", {}, "leaves"))
    left = (builder.root / "models/m/build/leaves/out.txt").read_text()
    assert not is_running(int(left))


def test_a_limit_changes_nothing_that_is_made(builder: Builder) -> None:
    builder.ensure(STEP)
    assert again(builder).why(dataclasses.replace(STEP, limit_s=60.0)) == []


def test_a_failure_keeps_the_last_good_result(builder: Builder) -> None:
    builder.ensure(STEP)
    write_job(builder.root, "join", "def run(job):\n (job.out/'out.txt').write_text('half'); 1/0")
    changed = dataclasses.replace(STEP, sections={"value": 2})
    with pytest.raises(Failed, match="ZeroDivisionError"):
        builder.ensure(changed)
    assert (builder.root / OUT).read_text() == "a+1"
    assert again(builder).why(STEP) == []


def test_input_edited_while_the_step_runs_is_not_recorded(builder: Builder) -> None:
    place = builder.root / "models/m/a.txt"
    write_job(
        builder.root,
        "edits",
        "from pathlib import Path\n"
        "def run(job):\n"
        "    (job.out / 'out.txt').write_text(job.inputs['a'].read_text())\n"
        f"    Path({str(place)!r}).write_text('edited')\n",
    )
    step = make_step("edits", {"a": "models/m/a.txt"}, "edits")
    with pytest.raises(Failed, match=r"a\.txt changed while the step ran"):
        builder.ensure(step)
    assert not (builder.root / "models/m/build/edits/out.txt").exists()
    assert builder.why(step) != []


def test_missing_dependency_is_named(builder: Builder) -> None:
    with pytest.raises(Failed, match=r"no file models/m/none\.txt"):
        builder.ensure(make_step("one", {"a": "models/m/none.txt"}))


def test_children_see_a_clean_environment(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nonsense")
    monkeypatch.setenv("SECRET", "1")
    write_job(
        builder.root,
        "env",
        "import os, sys\n"
        "def run(job): (job.out / 'out.txt').write_text("
        "f\"{os.environ.get('PYTHONPATH')} {os.environ.get('SECRET')} "
        "{os.environ['PYTHONHASHSEED']} {'/nonsense' in sys.path}\")\n",
    )
    builder.ensure(make_step("env", {}, "env"))
    assert (builder.root / "models/m/build/env/out.txt").read_text() == "None None 0 False"


def test_jobs_of_an_environment_are_forks_of_one_process_that_started_with_it(
    builder: Builder,
) -> None:
    write_job(
        builder.root,
        "env",
        "import os\n"
        "from pathlib import Path\n"
        "def run(job):\n"
        "    started = b'TUNED=1' in Path('/proc/self/environ').read_bytes().split(b'\\0')\n"
        "    with (job.out / 'out.txt').open('a') as file:\n"
        "        print(os.getppid(), started, os.environ.get('TUNED'), file=file)\n",
    )
    plain = Work("fake", "env", {})
    tuned = dataclasses.replace(plain, environment={"TUNED": "1"})
    step = make_step("env", {}, "env")
    builder.ensure(dataclasses.replace(step, work=lambda: (plain, tuned, plain, tuned)))
    told = (builder.root / "models/m/build/env/out.txt").read_text().splitlines()
    assert [line.partition(" ")[2] for line in told] == ["False None", "True 1"] * 2
    assert (told[0], told[1]) == (told[2], told[3])
    assert told[0].split()[0] != told[1].split()[0]


def test_neighbours_of_one_server_run_in_one_process(builder: Builder) -> None:
    """Each under its heading in the log; after one that fails none runs."""
    write_job(
        builder.root,
        "told",
        "import os\n"
        "def run(job):\n"
        "    with (job.out / 'out.txt').open('a') as file:\n"
        "        print(os.getpid(), job.params['value'], file=file)\n"
        "    print('value', job.params['value'])\n"
        "    assert job.params['value'] != 4\n",
    )
    works = [Work("fake", "told", {"value": value}) for value in (1, 2, 3)]
    works[2] = dataclasses.replace(works[2], environment={"TUNED": "1"})
    step = make_step("told", {}, "told")
    builder.ensure(dataclasses.replace(step, work=lambda: tuple(works)))
    told = (builder.root / "models/m/build/told/out.txt").read_text().split()
    assert told[1::2] == ["1", "2", "3"]
    assert told[0] == told[2] != told[4]
    headings = [line for value in (1, 2, 3) for line in ("=== told in fake", f"value {value}")]
    assert builder.log_of(step).read_text().splitlines() == headings
    fails = dataclasses.replace(works[0], params={"value": 4})
    with pytest.raises(Failed):
        builder.ensure(make_again(step, (fails, works[1])))
    assert "value 2" not in builder.log_of(step).read_text()


def make_again(step: Step, works: tuple[Work, ...]) -> Step:
    """The step with other jobs, which it has not run yet."""
    return dataclasses.replace(step, version=step.version + 1, work=lambda: works)


def test_a_conversion_of_the_sdk_s_own_is_told_as_the_node_before_it(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("exLSTM", ["x"], ["y_int8"], "/recurrent/LSTM"),
        helper.make_node("exDataConvert", ["y_int8"], ["y"], "y__cvt_int8_to_float16"),
    ]
    (tmp_path / "quantize").mkdir()
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    model = helper.make_model(helper.make_graph(nodes, "g", [], [y]))
    (tmp_path / "quantize" / "model.model").write_bytes(model.SerializeToString())
    log = "D  fuse: remove node = [], add node = ['y__cvt_int8_to_float16']\nE  some sentence\n"
    assert last_node(log, tmp_path) == "LSTM `/recurrent/LSTM`"


def test_a_job_that_dies_is_told_with_the_node_that_its_log_was_at(builder: Builder) -> None:
    (builder.root / "models/m/a.onnx").write_bytes(conv_net())
    printed = "D     fuse_relu: remove node = ['conv2', 'relu2'], add node = ['conv2#1']"
    job = f"import os, signal\ndef run(job):\n print({printed!r}, flush=True)\n"
    write_job(builder.root, "dies", f"{job} os.kill(os.getpid(), signal.SIGSEGV)\n")
    step = make_step("dies", {"model": "models/m/a.onnx"}, "dies")
    with pytest.raises(Failed) as failure:
        builder.ensure(step)
    what, *lines = str(failure.value).splitlines()
    assert what.startswith("died of SIGSEGV: ")
    assert what.endswith("; the log was last at Conv `conv2`")
    assert f"  | {printed}" in lines
    assert not (builder.root / "models/m/build/dies").exists()
