"""./doit test: the test suite; arguments go on to pytest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipelines.files.engine import IS_PINNED
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit.cli import jobs_at_once
from pipelines.run.toolchain.toolchain import Environments, known

_MOST = 4  # workers; each may run several builds of the vendor's SDK
# A run makes some 800,000 small files, in copies of the project. ext4 takes five times as long, and
# much longer once some are removed: it looks at every inode that was deleted before it makes one.
_IN_MEMORY = Path("/dev/shm")
_PREFIX = "npumake-"  # and the process's number
_ROOM = 16 << 30  # bytes that are free there, of memory too: a run holds a third of it


class Test(OwnCommand):
    name = "test"
    in_brief = "the test suite, on every core"
    doc_purpose = "run the tests, on every core; arguments go on to pytest"
    doc_usage = "[PYTEST ARGUMENTS]"

    def parse_execute(self, in_args: Sequence[str]) -> int:
        if in_args or IS_PINNED:  # a few tests make what they need themselves
            return _pytest(in_args)
        Environments(self.project.root).make(known(self.project.root))
        workers = min(_MOST, jobs_at_once() + 1)  # each waits for a tenth of the time
        arguments = ["-n", str(workers), "--dist", "loadgroup", "--no-loadscope-reorder"]
        if not _has_room(_IN_MEMORY):
            return _pytest(arguments)
        _clear(_IN_MEMORY)
        place = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_IN_MEMORY)
        try:
            return _pytest([*arguments, "-o", "tmp_path_retention_policy=failed"], TMPDIR=place)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _clear(folder: Path) -> None:
    """Remove what runs that were killed have left there."""
    for place in folder.glob(f"{_PREFIX}*-*"):
        process = place.name.removeprefix(_PREFIX).partition("-")[0]
        is_ours = process.isdecimal() and place.lstat().st_uid == os.getuid()
        if is_ours and not Path("/proc", process).exists():
            shutil.rmtree(place, ignore_errors=True)


def _has_room(folder: Path) -> bool:
    """Whether it is a folder in memory where the tests' files have room."""
    try:
        free = shutil.disk_usage(folder).free
        told = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    except OSError:  # another system
        return False
    available = int(told["MemAvailable"].split()[0]) << 10
    return os.access(folder, os.W_OK) and min(free, available) > _ROOM


def _pytest(arguments: Sequence[str], **more: str) -> int:
    command = [sys.executable, "-m", "pytest", *arguments]
    environment = {**os.environ, "PYTHONNOUSERSITE": "1", **more}
    # Tests start ./doit some thousand times; compiling what it imports takes longer than the rest.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(command, env=environment).returncode
