"""kill -9 at random moments, again and again: what is built in the end is a clean build.

Everything is real but the jobs: recipes, front end, fork servers, cache, journal and locks.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipelines.dvc import lock_text
from pipelines.record import journal, seal
from tests import warm
from tests.fake_project import OUTPUTS, FakeProject
from tests.vacuous import some

MODELS = 3
STEPS = MODELS * 5
SECONDS = 0.02  # of a job
BATCHES, SEEDS = 5, 11  # seeds a batch
PHASES: Counter[str] = Counter()  # of all kills


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was never built, compiled: every start of it would do so anew."""
    project = FakeProject(
        tmp_path_factory.mktemp("base"),
        size=20_000,
        seconds=SECONDS,
        log="{log}",
        is_compiled=True,
    )
    project.add_models(MODELS)
    return project.root


@pytest.fixture(scope="module")
def clean(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of an undisturbed build."""
    root = copy(base, tmp_path_factory.mktemp("clean") / "project")
    assert build(root) == 0
    return everything(root)


def copy(base: Path, to: Path) -> Path:
    subprocess.run(["cp", "-a", str(base), str(to)], check=True)
    for job in (to / "pipelines").glob("*/**/jobs/*.py"):
        text = job.read_text()
        if "{log}" in text:
            job.write_text(text.replace("{log}", str(to / "ran.log")))
    return to


def start(root: Path, jobs: int) -> subprocess.Popen[bytes]:
    """As a user starts it."""
    return subprocess.Popen(
        [sys.executable, "-s", "dodo.py", "-n", str(jobs)],
        cwd=root,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
        stdout=subprocess.DEVNULL,
        stderr=(root / "err.log").open("ab"),
    )


def fork(root: Path, jobs: int, *more: str) -> warm.Running:
    """The same from an interpreter that has imported all but the jobs: three times as fast."""
    with (root / "err.log").open("ab") as err:
        return warm.front(root, ["-n", str(jobs), *more], err)


def build(root: Path, *more: str) -> int:
    """Three jobs at once, undisturbed. Returns the exit code."""
    with closing(fork(root, 3, *more)) as front:
        return front.wait(240)


def everything(root: Path) -> dict[str, bytes]:
    """Path -> content of all that a run leaves, but logs and memories."""
    places = ["dvc.yaml", "models", ".dvc/cache", ".npumake/work", ".npumake/journal"]
    found = {}
    for place in places:
        for parent, folders, files in os.walk(root / place):
            for name in files:
                path = Path(parent, name)
                found[path.relative_to(root).as_posix()] = path.read_bytes()
            if not folders and not files and Path(parent) != root / place:
                found[Path(parent).relative_to(root).as_posix() + "/"] = b""
    return found


def told(root: Path, what: str) -> list[str]:
    """Steps that noted `began` or `ended`, each time they did, as model-stage."""
    log = root / "ran.log"
    words = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [step for verb, step in words if verb == what]


def journaled(root: Path) -> set[str]:
    """Steps that a journal tells of."""
    found = set()
    for file in (root / ".npumake" / "journal").glob("*.jsonl"):
        try:
            found |= {f"{line.folder[7:]}-{line.name}" for line in journal.read(file)}
        except FileNotFoundError:  # a run that goes on has taken it over
            continue
    return found


def locked(root: Path) -> set[str]:
    """Steps that a dvc.lock tells of; each is whole whenever the process dies."""
    found = set()
    for file in root.glob("models/*/dvc.lock"):
        found |= {f"{file.parent.name}-{name}" for name in lock_text.load(file.read_text())}
    return found


def phase(root: Path, known: set[str], done: set[str]) -> str:
    """What the killed run was doing. known: the steps recorded; done: those in locks."""
    running = Counter(told(root, "began")) - Counter(told(root, "ended"))
    if not (root / ".npumake" / "journal").exists() or not told(root, "began"):
        return "starting"
    if len(known) == STEPS:
        return "writing locks" if len(done) < STEPS else "reporting"
    if set(told(root, "ended")) - known:
        return "keeping"
    return "running" if running else "between steps"


@dataclass
class Trial:
    """One project, killed and started again until a run ends by itself."""

    root: Path
    seed: int
    kills: int = 0
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def run(self) -> None:
        jobs = 1 + self.seed % 3
        known: set[str] = set()
        while True:
            before = len(told(self.root, "began"))
            # A share as a user starts it.
            is_cold = (self.seed + self.kills) % 12 == 0
            front = start(self.root, jobs) if is_cold else fork(self.root, jobs)
            was_killed = self._kill(front) if self.kills < 6 else False
            code = front.wait(60)
            if isinstance(front, warm.Running):
                front.close()
            again = set(told(self.root, "began")[before:]) & known
            assert not again, f"ran again though they were recorded: {again}"
            if not was_killed:
                assert code == 0, (self.root / "err.log").read_text()[-2000:]
                break
            self.kills += 1
            done = locked(self.root)
            known = journaled(self.root) | done
            PHASES[phase(self.root, known, done)] += 1
        began = len(told(self.root, "began"))
        assert began <= STEPS + self.kills * jobs, "more than the running steps was lost"

    def _kill(self, front: subprocess.Popen[bytes] | warm.Running) -> bool:
        """Kill at a random moment. Returns whether the process was still there.

        A share is aimed by what the run has done and not by the clock: how long it takes to
        start and to run depends on what else the machine does.
        """
        aim = self.random.random()
        if aim < 0.3:  # the end: the locks are being written
            wait(self.root, lambda: len(journaled(self.root)) >= STEPS, front)
            time.sleep(self.random.uniform(0, 0.015))
        elif aim < 0.65:  # among the steps: one to three more have begun
            enough = len(told(self.root, "began")) + self.random.randint(1, 3)
            wait(self.root, lambda: len(told(self.root, "began")) >= enough, front)
            time.sleep(self.random.uniform(0, 0.1))
        else:
            time.sleep(self.random.uniform(0.02, 1.2))
        if front.poll() is not None:
            return False
        os.kill(front.pid, signal.SIGKILL)
        return front.wait(10) == -signal.SIGKILL


def wait(
    root: Path, is_so: Callable[[], bool], front: subprocess.Popen[bytes] | warm.Running
) -> None:
    """Until it is so, or the run has ended.

    To ask reads all that is noted: done where there is more of it, not each two milliseconds.
    """
    end, seen = time.monotonic() + 30, noted(root)
    while not is_so():
        while (now := noted(root)) == seen:
            if front.poll() is not None or time.monotonic() > end:
                return
            time.sleep(0.002)
        seen = now


def noted(root: Path) -> list[tuple[str, int]]:
    """Of each file that a run notes its steps into, how much is there."""
    found = []
    with suppress(FileNotFoundError):  # not yet, or not any more
        found.append(("", os.stat(f"{root}/ran.log").st_size))
        with os.scandir(f"{root}/.npumake/journal") as entries:
            found += [(entry.name, entry.stat().st_size) for entry in entries]
    return found


def require_clean(root: Path, clean: dict[str, bytes]) -> None:
    found = everything(root)
    assert sorted(found.keys() ^ clean.keys()) == []
    assert [path for path in clean if found[path] != clean[path]] == []
    end = time.monotonic() + 10
    while left := processes(root):
        assert time.monotonic() < end, f"processes are left: {left}"
        time.sleep(0.02)


def processes(root: Path) -> list[str]:
    """Command lines that name the project, or whose process is in it or has a file of it open."""
    found = []
    for process in os.listdir("/proc"):  # noqa: PTH208 - links of some hundred processes, as text
        if not process.isdecimal():
            continue
        folder = f"/proc/{process}"
        try:
            words = Path(folder, "cmdline").read_bytes()
            links = (f"{folder}/cwd", *(entry.path for entry in os.scandir(f"{folder}/fd")))
            places = [os.readlink(link) for link in links]  # noqa: PTH115
        except OSError:
            continue
        line = words.replace(b"\0", b" ").decode(errors="replace")
        if any(f"{root}/" in f"{text}/" or f'{root}"' in text for text in (line, *places)):
            found.append(line)
    return found


@pytest.mark.parametrize("batch", range(BATCHES))
def test_killed_at_random(batch: int, base: Path, clean: dict[str, bytes], tmp_path: Path) -> None:
    def act(seed: int) -> None:
        trial = Trial(copy(base, tmp_path / str(seed)), seed)
        trial.run()
        require_clean(trial.root, clean)

    with ThreadPoolExecutor(4) as pool:
        seeds = range(batch * SEEDS, (batch + 1) * SEEDS)
        for seed, result in some([(seed, pool.submit(act, seed)) for seed in seeds]):
            failure = result.exception()
            assert failure is None, f"seed {seed}: {failure}"


@pytest.fixture(scope="module")
def colleague(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone without cache and outputs; of one model the source is in the remote too."""
    place = tmp_path_factory.mktemp("colleague")
    root = copy(base, place / "project")
    assert build(root) == 0
    (root / ".dvc/cache").rename(place / "remote")
    for model in (root / "models").iterdir():
        shutil.rmtree(model / "build")
    (root / "ran.log").unlink()
    shutil.rmtree(root / ".npumake/seals", ignore_errors=True)
    net = root / "models/m0000/net.onnx"
    track(net, place / "remote")
    config = "[core]\n    no_scm = true\n    analytics = false\n    remote = r\n"
    (root / ".dvc/config").write_text(f"{config}['remote \"r\"']\n    url = {place / 'remote'}\n")
    return root


def track(file: Path, remote: Path) -> None:
    """As `dvc add` and `dvc push` do, without the file itself."""
    data = file.read_bytes()
    md5 = hashlib.md5(data).hexdigest()
    kept = remote / "files/md5" / md5[:2] / md5[2:]
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(data)
    row = f"- path: {file.name}\n  md5: {md5}\n  size: {len(data)}\n  hash: md5\n"
    file.with_name(f"{file.name}.dvc").write_text(f"outs:\n{row}")
    file.unlink()


def pull_and_kill(root: Path, seed: int, seconds: float) -> int:
    """./doit --pull again and again until one ends by itself. Returns how often it was killed.

    A run takes about `seconds`: each is killed at a random moment of twice that, the first
    in its first half.
    """
    kills, chance = 0, random.Random(seed)
    while kills < 5:
        moment = chance.uniform(0.05, 2.0 if kills else 0.5) * seconds
        with closing(fork(root, 1 + seed % 3, "--pull")) as front:
            try:
                assert front.wait(moment) == 0, (root / "err.log").read_text()[-2000:]
                return kills
            except subprocess.TimeoutExpired:
                front.kill()
                kills += front.wait(10) == -signal.SIGKILL
    assert build(root, "--pull") == 0, (root / "err.log").read_text()[-2000:]
    return kills


PULLS = range(3)


def test_killed_while_pulling(colleague: Path, tmp_path: Path) -> None:
    undisturbed = copy(colleague, tmp_path / "undisturbed")
    began = time.monotonic()
    assert build(undisturbed, "--pull") == 0
    seconds = time.monotonic() - began
    pulled = everything(undisturbed)
    assert "models/m0000/net.onnx" in pulled

    def act(seed: int) -> int:
        root = copy(colleague, tmp_path / str(seed))
        kills = pull_and_kill(root, seed, seconds)
        require_clean(root, pulled)
        assert told(root, "began") == []
        return kills

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(act, PULLS)) >= len(PULLS)


@pytest.mark.usefixtures("base")  # on the worker that made the kills
def test_kills_landed_everywhere() -> None:
    """Of the tests above; the kills are worth nothing if they all land in one place."""
    if sum(PHASES.values()) < BATCHES * SEEDS:
        pytest.skip("the kills were not all made in this session")
    assert PHASES.keys() >= {"starting", "running", "writing locks"}, PHASES
    assert len(PHASES) >= 4, PHASES


def test_two_at_once(base: Path, clean: dict[str, bytes], tmp_path: Path) -> None:
    root = copy(base, tmp_path / "project")
    with closing(fork(root, 2)) as one, closing(fork(root, 2)) as other:
        assert [one.wait(60), other.wait(60)] == [0, 0]
    assert sorted(told(root, "began")) == sorted(set(told(root, "began")))
    assert len(told(root, "ended")) == STEPS
    require_clean(root, clean)


@pytest.mark.parametrize("seed", range(6))
def test_two_at_once_and_one_is_killed(
    seed: int, base: Path, clean: dict[str, bytes], tmp_path: Path
) -> None:
    root = copy(base, tmp_path / "project")
    with closing(fork(root, 2)) as one, closing(fork(root, 2)) as other:
        killed, stays = (one, other) if seed % 2 == 0 else (other, one)
        time.sleep(random.Random(seed).uniform(0.05, 0.8))
        killed.kill()
        assert stays.wait(60) == 0, (root / "err.log").read_text()[-2000:]
    assert len(told(root, "began")) <= STEPS + 2
    require_clean(root, clean)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_politely_writes_the_locks(
    number: signal.Signals, base: Path, clean: dict[str, bytes], tmp_path: Path
) -> None:
    root = copy(base, tmp_path / "project")
    for name in OUTPUTS:  # slow ones: it still runs when it is told
        job = root / f"pipelines/{name}.py"
        job.write_text(job.read_text().replace(f", {SECONDS}, ", ", 0.3, "))
    with closing(fork(root, 1)) as front:
        wait(root, lambda: len(journaled(root)) >= 4, front)
        front.send_signal(number)
        assert front.wait(30) == 130
    assert journaled(root) == set()
    done = locked(root)
    assert 4 <= len(done) < STEPS
    assert build(root) == 0
    assert set(told(root, "began")[len(done) + 1 :]).isdisjoint(done)
    require_clean(root, clean)


def test_a_sealed_project_stays_sealed(base: Path, tmp_path: Path) -> None:
    root = copy(base, tmp_path / "project")
    time.sleep(0.05)
    assert build(root) == 0
    assert start(root, 3).wait(60) == 0
    assert seal.check(str(root), ["-n", "3"]) is not None
