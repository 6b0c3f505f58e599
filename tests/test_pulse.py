"""Nothing is silent for long: what goes on is told by a thread of its own."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pipelines.files import console, pulse
from tests.conftest import ROOT

# What the main thread does meanwhile, in a process of its own: until enough was told, or a minute.
BUSY = """
import hashlib, json, sys, time
from pipelines.files import pulse
pulse.SILENCE_S, pulse._TICK_S = 0.3, 0.1
class Counted:
    count = 0
    def write(self, text):
        self.count += text.count("\\n")
        return sys.__stderr__.write(text)
    def flush(self):
        sys.__stderr__.flush()
    def isatty(self):
        return False
sys.stderr = counted = Counted()
pulse.begin()
data = bytes(1 << 26)
until = time.monotonic() + 60
with pulse.step("m:export"):
    while counted.count < 3 and time.monotonic() < until:
        WORK
pulse.end()
"""
WORKS = {
    "hashing": "hashlib.md5(data, usedforsecurity=False)",
    "Python": "sum(number * number for number in range(300_000))",
    "JSON": "json.loads('[' + '1234567,' * 200_000 + '0]')",
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No second is waited for, and nothing was told yet."""
    monkeypatch.setattr(pulse, "SILENCE_S", 0.0)
    yield
    pulse.end()


def told(capsys: pytest.CaptureFixture[str]) -> str:
    pulse.beat()
    return capsys.readouterr().err.strip()


def test_tells_the_last_phase_and_steps_before_phases(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys) == "starting"
    with pulse.phase("reading"):
        with pulse.phase("reading more"):
            assert told(capsys) == "reading more 0 s"
            with pulse.step("b"), pulse.step("a"):
                assert told(capsys) == "a 0 s, b 0 s"
                with pulse.told_by(lambda: "step 1 of 2"):
                    assert told(capsys) == "step 1 of 2"
                with pulse.told_by(lambda: ""):
                    assert told(capsys) == "a 0 s, b 0 s"
        assert told(capsys) == "reading 0 s"


def test_what_fails_is_told_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), pulse.step("a"):
        raise ValueError("no")
    assert told(capsys) == "starting"


def test_says_nothing_before_the_silence_is_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock of our own. What is told by others ends a silence too, data as well."""
    now = [100.0]
    monkeypatch.setattr("pipelines.files.console.time.monotonic", lambda: now[0])
    monkeypatch.setattr(pulse, "SILENCE_S", 8.0)
    console.say("began")
    capsys.readouterr()
    lines = {}
    with pulse.step("a"):
        for second in range(1, 31):
            now[0] += 1
            if line := told(capsys):
                lines[second] = line
            if second == 11:
                console.tell("data")
    assert lines == {8: "a 8 s", 19: "a 19 s", 27: "a 27 s"}


@pytest.mark.parametrize("work", WORKS.values(), ids=list(WORKS))
def test_is_told_whatever_the_main_thread_does(work: str) -> None:
    code = BUSY.replace("WORK", work)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    assert len(lines) >= 3, done.stderr
    assert all(re.fullmatch(r"m:export \d+ s", line) for line in lines)


def test_a_terminal_has_steps_on_its_last_line_below_what_is_told() -> None:
    code = """
from pipelines.files import console, pulse
with pulse.phase("reading"):
    pulse.beat()
with pulse.step("m:export"):
    pulse.beat()
    console.say("first")
    console.tell("data")
pulse.end()
console.say("last")
"""
    above, below = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "40"}
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        stdout=below,
        stderr=below,
        check=True,
    )
    os.close(below)
    drawn = os.read(above, 10_000).decode()
    line, gone = "m:export 0 s", "\r\x1b[K"
    assert drawn == f"{line}{gone}first\r\n{line}{gone}data\r\n{line}{gone}last\r\n"
