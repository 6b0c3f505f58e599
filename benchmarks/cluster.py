"""What --cluster adds to a step, its memory, and how it gets over killed workers.

    .venv/bin/python -m benchmarks.cluster [--models 100 1000] [--workers 2] [--kills 100]
        [--only export] [--folder FOLDER]

Models of five chained steps whose jobs only write, as in benchmarks.scale. One run with as many
steps at once on this machine, and one by a real scheduler and real workers, each a process on a
loopback address of its own with a checkout and a cache of its own; all on this machine, so that
what is sent is also received here. With --kills a third one, whose workers are killed at random, so
many in all, and started again. CPU seconds are of all processes of a run, start-up apart: both have
built one model before. dvc.lock of all runs is compared.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.run.toolchain.toolchain import Environments
from tests.cluster import Cluster, start, told, wait_for
from tests.fake_project import STAGES, FakeProject
from tests.warm import Running

ROOT = Path(__file__).resolve().parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """wall, cpu, front_cpu: seconds. front_mb, scheduler_mb: peaks of memory."""

    steps: int
    wall: float
    cpu: float
    front_cpu: float
    front_mb: float
    scheduler_mb: float = 0.0

    def __str__(self) -> str:
        a_step = f"{1000 * self.wall / self.steps:.1f} / {1000 * self.cpu / self.steps:.1f} ms"
        front = f"{1000 * self.front_cpu / self.steps:.1f} ms of them the front's"
        memory = f"front {self.front_mb:.0f} MB, scheduler {self.scheduler_mb:.0f} MB"
        return f"{self.wall:.1f} s wall, {self.cpu:.1f} s CPU; a step {a_step}, {front}; {memory}"


def used_s(processes: list[int]) -> dict[int, float]:
    """Process -> CPU seconds so far, of these and all that they started and that lives."""
    parents: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(folder.name))
        used[int(folder.name)] = sum(map(int, fields[11:15])) / _TICKS  # with ended children's
    found, todo = {}, list(processes)
    while todo:
        process = todo.pop()
        if process in used:
            found[process] = used[process]
            todo += parents.get(process, [])
    return found


def peak_mb(process: int) -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Meter:
    """Looks at processes now and then, for what is gone when a run ends."""

    def __init__(self, front: Running, others: list[int]) -> None:
        self._front, self._others = front, others
        self._before = used_s(others)
        self._last: dict[int, float] = {}
        self.front_mb = 0.0

    def wait(self) -> int:
        while True:
            self._look()
            try:
                return self._front.wait(0.2)
            except TimeoutError:
                continue
            except Exception as error:
                if type(error).__name__ != "TimeoutExpired":
                    raise

    def _look(self) -> None:
        try:
            self.front_mb = max(self.front_mb, peak_mb(self._front.pid))
        except OSError:
            return
        self._last |= used_s([self._front.pid])

    @property
    def cpu(self) -> float:
        after = used_s(self._others)
        others = sum(value - self._before.get(each, 0.0) for each, value in after.items())
        return self.front_cpu + others

    @property
    def front_cpu(self) -> float:
        return sum(self._last.values())


def what_failed(project: FakeProject) -> str:
    text = told(project.root)
    return text[text.find("FAILED") - 60 :][:1000] if "FAILED" in text else text[-3000:]


def measure(project: FakeProject, cluster: Cluster | None, words: list[str], steps: int) -> Cost:
    others = [] if cluster is None else cluster.processes
    address = [] if cluster is None else ["--cluster", cluster.address]
    began = time.perf_counter()
    front = start(project.root, *address, *words)
    meter = Meter(front, others)
    code = meter.wait()
    wall = time.perf_counter() - began
    if code != 0:
        sys.exit(what_failed(project))
    memory = 0.0 if cluster is None else peak_mb(cluster.scheduler)
    return Cost(steps, wall, meter.cpu, meter.front_cpu, meter.front_mb, memory)


def locks(project: FakeProject) -> Mapping[str, bytes]:
    return {file.parent.name: file.read_bytes() for file in project.root.glob("models/*/dvc.lock")}


def kill_at_random(cluster: Cluster, count: int, ended: threading.Event) -> int:
    """Kill workers one after another, and start each again. Returns how many were."""
    chosen = random.Random(0)
    for number in range(count):
        if ended.wait(chosen.uniform(0.2, 0.6)):
            return number
        machine = chosen.choice(cluster.machines)
        machine.kill()
        machine.start(cluster.address)
    return count


def recovery(cluster: Cluster, project: FakeProject, words: list[str], kills: int) -> str:
    before, ended, killed = cluster.began, threading.Event(), [0]

    def act() -> None:
        killed[0] = kill_at_random(cluster, kills, ended)

    killer = threading.Thread(target=act)
    began = time.perf_counter()
    front = start(project.root, "--cluster", cluster.address, *words)
    wait_for(lambda: (cluster.began - before).total() > 1, "it runs")
    killer.start()
    code = front.wait()
    wall = time.perf_counter() - began
    ended.set()
    killer.join()
    if code != 0:
        sys.exit(what_failed(project))
    ran = cluster.began - before
    return (
        f"{killed[0]} workers killed: {wall:.1f} s wall, {len(ran)} steps, "
        f"{ran.total() - len(ran)} of them run again"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--only", help="one stage alone, as for 10,000 models")
    parser.add_argument("--folder", type=Path, help="where the projects are made")
    arguments = parser.parse_args()
    Environments(ROOT).make(["cluster"])
    toolchain = Environments(ROOT).python("cluster").parent.parent
    for count in arguments.models:
        folder = Path(tempfile.mkdtemp(dir=arguments.folder))
        cluster = Cluster(folder, toolchain, seconds=0)
        try:
            for number in range(arguments.workers):
                cluster.machine(number + 2)
            for machine in cluster.machines:
                machine.await_joined()
            tell(cluster, count, arguments)
        finally:
            cluster.close()
            shutil.rmtree(folder, ignore_errors=True)


def tell(cluster: Cluster, count: int, arguments: argparse.Namespace) -> None:
    names = [f"*:{arguments.only}"] if arguments.only else []
    steps = count if arguments.only else count * len(STAGES)
    words = ["-n", str(arguments.workers), *names]
    print(f"N={count}, {steps} steps, {arguments.workers} at once", flush=True)
    local = cluster.project("local", count + 1)
    measure(local, None, [f"m{count:04}"], len(STAGES))
    here = measure(local, None, words, steps)
    print(f"  here:       {here}", flush=True)
    project = cluster.project("by-cluster", count + 1)
    measure(project, cluster, [f"m{count:04}"], len(STAGES))
    there = measure(project, cluster, names, steps)
    print(f"  by cluster: {there}", flush=True)
    more = (1000 * (x - y) / steps for x, y in ((there.wall, here.wall), (there.cpu, here.cpu)))
    print("  more a step: {:.1f} ms wall, {:.1f} ms CPU".format(*more), flush=True)
    if locks(project) != locks(local):
        sys.exit("dvc.lock differs")
    if arguments.kills:
        killed = cluster.project("killed", count + 1)
        measure(killed, cluster, [f"m{count:04}"], len(STAGES))
        print(f"  {recovery(cluster, killed, names, arguments.kills)}", flush=True)
        if locks(killed) != locks(local):
            sys.exit("dvc.lock differs")


if __name__ == "__main__":
    main()
