"""A kill at any moment: nothing half-made is taken for a result, and no child lives on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.building.builder import Builder, Outcome
from tests.conftest import ROOT
from tests.fake_steps import make_step, write_job
from tests.processes import is_running

FRONT = """
import sys
from pathlib import Path
from pipelines.building.builder import Builder
from tests.fake_steps import make_step
Builder(Path(sys.argv[1])).ensure(make_step("slow", {"a": "models/m/a.txt"}, "slow"))
"""
SLOW = """
import os, time
from pathlib import Path
def run(job):
    (job.out / "out.txt").write_text("half")
    Path({mark!r}).write_text(str(os.getpid()))
    while {wait}:
        time.sleep(0.05)
    (job.out / "out.txt").write_text("whole")
"""


def wait_for(is_so: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end, f"30 s, and still not: {what}"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_front_end(project: Path, number: signal.Signals) -> None:
    (project / "models/m/a.txt").write_text("a")
    mark = project / "mark"
    write_job(project, "slow", SLOW.format(mark=str(mark), wait="True"))
    front = subprocess.Popen([sys.executable, "-c", FRONT, str(project)], cwd=ROOT)
    wait_for(lambda: mark.exists() and mark.read_text(), "the job runs")
    child = int(mark.read_text())
    os.kill(front.pid, number)
    front.wait()
    wait_for(lambda: not is_running(child), "the job's process is gone")

    step = make_step("slow", {"a": "models/m/a.txt"}, "slow")
    assert not (project / "models/m/build/slow/out.txt").exists()
    write_job(project, "slow", SLOW.format(mark=str(mark), wait="False"))
    later = Builder(project)
    assert later.why(step) != []
    assert later.ensure(step) is Outcome.RAN
    assert (project / "models/m/build/slow/out.txt").read_text() == "whole"
    assert list((project / ".npumake/work").iterdir()) == []
    later.close()


def test_killed_toolchain_server_is_told_and_started_again(project: Path) -> None:
    (project / "models/m/a.txt").write_text("a")
    write_job(project, "kills", "import os\ndef run(job): os.kill(os.getppid(), 9)\n")
    write_job(project, "join")
    builder = Builder(project)
    with pytest.raises(Exception, match="toolchain fake died"):
        builder.ensure(make_step("kills", {}, "kills"))
    assert builder.ensure(make_step("one", {"a": "models/m/a.txt"})) is Outcome.RAN
    builder.close()


LEAVES = """
import os, subprocess, sys, tempfile
def run(job):
    with tempfile.NamedTemporaryFile(prefix="left-", delete=False) as file:
        own = os.path.realpath(file.name)
    code = "import tempfile; print(tempfile.mkstemp(prefix='left-')[1])"
    other = subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    told = [own, os.path.realpath(other), os.getcwd()]
    (job.out / "out.txt").write_text(" ".join(told))
"""


def test_what_a_job_leaves_in_the_temporary_folder_goes_with_it(project: Path) -> None:
    (project / "models/m/a.txt").write_text("a")
    write_job(project, "leaves", LEAVES)
    step = make_step("leaves", {"a": "models/m/a.txt"}, "leaves")
    assert Builder(project).ensure(step) is Outcome.RAN
    *left, folder = (project / step.outputs["out.txt"]).read_text().split()
    assert [Path(file).parent for file in left] == [Path(folder)] * 2
    assert not any(Path(file).exists() for file in left)
