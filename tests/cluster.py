"""Machines of a cluster: processes on loopback addresses of their own, each with its checkout."""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests import warm
from tests.fake_project import FakeProject
from tests.warm import Running

NOTES = "../../jobs.log"  # from a job's working folder: every machine notes into its own


def wait_for(is_so: Callable[[], object], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"{seconds:.0f} s, and still not: {what}"
        time.sleep(0.02)


def start(root: Path, *words: str) -> Running:
    """`./doit WORDS` as a process, told into a file. dask is imported: it takes a second."""
    (toolchain,) = (root / ".npumake" / "toolchains").glob("cluster-*")
    (site,) = toolchain.resolve().glob("lib/python3*/site-packages")
    with (root / "told").open("wb") as told:
        return warm.front(root, words, told, warm.beside(site, "distributed"))


def told(root: Path) -> str:
    return (root / "told").read_text(errors="replace")


class Machine:
    """One worker. host: 127.0.0.2 and so on."""

    def __init__(self, root: Path, host: str, name: str) -> None:
        self.root, self.host, self.name = root, host, name
        self._process: Running | None = None
        self.has_died = False

    def start(self, address: str, *options: str) -> None:
        words = (address, "-n", "1", "--host", self.host, "--name", self.name, *options)
        self._process = start(self.root, "worker", *words)

    @property
    def process(self) -> int | None:
        return None if self._process is None else self._process.pid

    def await_joined(self) -> None:
        wait_for(lambda: f"worker {self.name} at" in told(self.root), told(self.root))

    def kill(self) -> None:
        self.stop()
        self.has_died = True

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.close()
            self._process = None

    @property
    def began(self) -> Counter[str]:
        """Step -> how often it began here."""
        file = self.root / ".npumake" / "jobs.log"
        lines = file.read_text().splitlines() if file.is_file() else []
        return Counter(line.split()[1] for line in lines if line.startswith("began "))


class Cluster:
    """A scheduler, and a front to run ./doit in."""

    def __init__(self, folder: Path, cluster_toolchain: Path, seconds: float) -> None:
        self.folder = folder
        (folder / "origin").mkdir()
        self._origin = FakeProject(folder / "origin", seconds=seconds, log=NOTES, is_warm=False)
        home = self._origin.root / ".npumake" / "toolchains"
        (home / cluster_toolchain.name).symlink_to(cluster_toolchain)
        self._scheduler = start(
            self._origin.root, "worker", "--scheduler", "--host", "127.0.0.1", "--port", "0"
        )
        self.machines: list[Machine] = []
        self._address = ""

    @property
    def address(self) -> str:
        if not self._address:
            root = self._origin.root
            wait_for(lambda: "scheduler at" in told(root), f"a scheduler: {told(root)}")
            found = re.search(r"scheduler at (\S+);", told(root))
            assert found is not None, told(root)
            self._address = found[1]
        return self._address

    def checkout(self, name: str) -> Path:
        root = self.folder / name
        shutil.copytree(self._origin.root, root, symlinks=True)
        (root / "told").unlink()
        return root

    def project(self, name: str, models: int) -> FakeProject:
        project = FakeProject.__new__(FakeProject)
        project.root, project.size = self.checkout(name), 1000
        project.add_models(models)
        return project

    def machine(self, number: int, *options: str) -> Machine:
        name = f"m{number}"
        found = Machine(self.checkout(name), f"127.0.0.{number}", name)
        self.machines.append(found)
        found.start(self.address, *options)
        return found

    @property
    def scheduler(self) -> int:
        """Its process."""
        return self._scheduler.pid

    @property
    def processes(self) -> list[int]:
        """The scheduler's, and those of the workers that were started."""
        found = [machine.process for machine in self.machines]
        return [self.scheduler, *(each for each in found if each is not None)]

    @property
    def began(self) -> Counter[str]:
        return sum((machine.began for machine in self.machines), Counter())

    def await_steps(self, count: int) -> None:
        """Until so many have begun, on all machines."""
        wait_for(lambda: self.began.total() >= count, f"{count} steps")

    def close(self) -> None:
        for machine in self.machines:
            machine.stop()
        self._scheduler.kill()
        self._scheduler.wait()
        self._scheduler.close()
