"""A job goes on in the process of an earlier one, and nothing of that shows but the time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipelines.run import kept
from pipelines.run.kept import MOST, SHARE, Kept
from tests.conftest import ROOT
from tests.fake_project import FakeProject
from tests.vacuous import some

# Of a job: notes its process, and what an earlier one has left in memory.
JOB = """
import os, subprocess, sys, time
from pathlib import Path
from pipelines.run.jobs.job import Job, NoParams

BEFORE = []

def run(job: Job[NoParams]) -> None:
    BEFORE.append(Path.cwd().name)
    (job.out / "told").write_text(" ".join([str(os.getpid()), *BEFORE]))
    print("a line of", Path.cwd().name)
    MORE
"""
BODIES = {
    "quick": "",
    "wrong": "raise ValueError('wrong')",
    "slow": "time.sleep(60)",
    "parent": "subprocess.Popen(['sleep', '60'])",
}


class Server:
    """A fork server whose jobs are BODIES. folder: where a test's jobs run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "code").mkdir()
        for name, more in BODIES.items():
            (folder / "code" / f"{name}.py").write_text(JOB.replace("MORE", more))
        settings = {"paths": [str(folder / "code"), str(ROOT)], "preload": []}
        script = ROOT / "pipelines" / "run" / "fork_server.py"
        self.process = subprocess.Popen(
            [sys.executable, "-s", str(script), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.event()["event"] == "ready"

    def begin(self, number: int, body: str = "quick", **process: str) -> None:
        folder = self.folder / str(number)
        (folder / "out").mkdir(parents=True)
        order = {"module": body, "params": {}, "inputs": {}, "folder": str(folder)}
        self.send({**order, "number": number, "log": str(folder / "log"), **process})

    def send(self, order: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def event(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def run(self, number: int, body: str = "quick", **process: str) -> int:
        """Returns the wait status."""
        self.begin(number, body, **process)
        event = self.event()
        assert (event["event"], event["number"]) == ("ended", number)
        assert event["peak_bytes"] > 1_000_000
        return int(event["status"])

    def told(self, number: int) -> tuple[int, list[str]]:
        """The job's process, and the jobs that have run in it."""
        process, *before = (self.folder / str(number) / "out" / "told").read_text().split()
        return int(process), before

    def log(self, number: int) -> str:
        return (self.folder / str(number) / "log").read_text()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture
def server(shared: Server, tmp_path: Path) -> Server:
    shared.folder = tmp_path
    return shared


def is_there(process: int) -> bool:
    """Running, or to be reaped by a server that runs."""
    return Path("/proc", str(process)).exists()


def require_gone(process: int) -> None:
    end = time.monotonic() + 10
    while is_there(process):
        assert time.monotonic() < end, f"{process} is left"
        time.sleep(0.01)


def test_a_job_goes_on_in_the_process_of_an_earlier_one(server: Server) -> None:
    assert server.run(1, keep_as="a") == 0
    assert server.run(2, goes_on_in="a") == 0
    process, before = server.told(1)
    assert before == ["1"]
    assert server.told(2) == (process, ["1", "2"])
    assert (server.log(1), server.log(2)) == ("a line of 1\n", "a line of 2\n")
    require_gone(process)


def test_each_name_has_a_process_of_its_own_and_once(server: Server) -> None:
    for number, how in enumerate([{"keep_as": "a"}, {"keep_as": "b"}, {}, {"goes_on_in": "c"}]):
        assert server.run(number, **how) == 0
    for number, name in ((10, "a"), (11, "b"), (12, "a"), (13, "")):
        assert server.run(number, goes_on_in=name) == 0
    assert [server.told(number)[1] for number in (2, 3)] == [["2"], ["3"]]
    ran = {number: server.told(number)[1] for number in (10, 11, 12, 13)}
    assert ran == {10: ["0", "10"], 11: ["1", "11"], 12: ["12"], 13: ["13"]}


def test_it_holds_nothing_of_its_folder_while_it_waits(server: Server, tmp_path: Path) -> None:
    assert server.run(1, keep_as="a") == 0
    process = Path("/proc", str(server.told(1)[0]))
    opened = {str(link.readlink()) for link in (process / "fd").iterdir()}
    assert "/dev/null" in opened
    assert [name for name in opened if name.startswith(str(tmp_path))] == []
    assert (process / "cwd").readlink() == Path("/")


def test_one_that_was_killed_is_not_missed(server: Server) -> None:
    assert server.run(1, keep_as="a") == 0
    process, _ = server.told(1)
    os.kill(process, signal.SIGKILL)
    require_gone(process)
    assert server.run(2, goes_on_in="a") == 0
    assert server.told(2)[1] == ["2"]


def test_a_few_are_kept(server: Server) -> None:
    for number in range(MOST + 2):
        assert server.run(number, keep_as=str(number)) == 0
    for number in range(MOST + 2):
        if number < 2:
            require_gone(server.told(number)[0])
        else:
            assert is_there(server.told(number)[0])
    assert server.run(100, keep_as="5") == 0  # in place of that one
    require_gone(server.told(5)[0])
    assert server.run(101, goes_on_in="5") == 0
    assert server.told(101)[1] == ["100", "101"]


def test_a_job_that_fails_is_not_kept(server: Server) -> None:
    assert server.run(1, "wrong", keep_as="a") != 0
    require_gone(server.told(1)[0])
    assert server.run(2, goes_on_in="a") == 0
    assert server.told(2)[1] == ["2"]


def test_a_job_that_leaves_processes_is_not_kept(server: Server) -> None:
    assert server.run(1, "parent", keep_as="a") == 0
    assert server.run(2, goes_on_in="a") == 0
    assert server.told(2)[1] == ["2"]


def test_its_own_failure_is_told_of_the_job_that_goes_on(server: Server, tmp_path: Path) -> None:
    assert server.run(1, keep_as="a") == 0
    assert server.run(2, "wrong", goes_on_in="a") != 0
    told = json.loads((tmp_path / "2" / "refusal.json").read_text())
    assert (told["what"], told["is_refusal"]) == ("ValueError: wrong", False)
    assert not (tmp_path / "1" / "refusal.json").exists()


def test_a_job_that_goes_on_can_be_stopped(server: Server, tmp_path: Path) -> None:
    assert server.run(1, keep_as="a") == 0
    server.begin(2, "slow", goes_on_in="a")
    while not (tmp_path / "2" / "log").exists():
        time.sleep(0.01)
    server.send({"stop": 2})
    event = server.event()
    assert (event["number"], os.WTERMSIG(event["status"])) == (2, signal.SIGKILL)
    require_gone(server.told(1)[0])


@pytest.mark.parametrize("is_killed", [True, False])
def test_none_outlives_the_server(tmp_path: Path, *, is_killed: bool) -> None:
    server = Server(tmp_path)
    for number in some(range(MOST)):
        assert server.run(number, keep_as=str(number)) == 0
    processes = [server.told(number)[0] for number in range(MOST)]
    assert all(is_there(each) for each in some(processes))
    if is_killed:
        server.process.kill()
    server.close()
    for each in some(processes):
        require_gone(each)


@pytest.mark.parametrize(("held", "left"), [([1], 1), ([4], 0), ([1, 1, 1], 3), ([2, 1, 1], 2)])
def test_they_hold_a_part_of_the_memory(
    held: list[int], left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest are left; one that is too large goes itself."""
    monkeypatch.setattr(kept, "free_bytes", lambda: 3 * SHARE)
    waiting, children = Kept(), []
    for number, size in enumerate(held):
        line, theirs = socket.socketpair()
        children.append(subprocess.Popen(["sleep", "60"]))
        waiting.expect(children[-1].pid, str(number), line)
        theirs.sendall(json.dumps([7, size]).encode())
        assert waiting.hear(line) == (children[-1].pid, 7)
    try:
        assert waiting.processes == [each.pid for each in children[len(children) - left :]]
        ended = [each.wait(10) for each in children[: len(children) - left]]
        assert ended == [-signal.SIGKILL] * (len(held) - left)
    finally:
        for each in children:
            each.kill()
            each.wait()


def test_every_analyze_goes_on_in_its_build(tmp_path: Path) -> None:
    """Of more models than are kept at once: it runs before other builds."""
    project = FakeProject(tmp_path / "project", log=str(tmp_path / "ran.log"))
    for name in ("build", "analyze"):
        job = project.root / "pipelines/backends/rknn/jobs" / f"{name}.py"
        text = job.read_text()
        assert text.count('note("began")') == 1
        job.write_text(text.replace('note("began")', 'note(f"{os.getpid()}")'))
    project.add_models(MOST + 1)
    assert project.doit("-n", "2").code == 0
    lines = (line.split() for line in (tmp_path / "ran.log").read_text().splitlines())
    ran = {step: int(what) for what, step in lines if what.isdigit()}
    for number in range(MOST + 1):
        assert ran[f"m{number:04}-analyze-rk3588"] == ran[f"m{number:04}-build-rk3588"]
    assert len(set(ran.values())) == MOST + 1
