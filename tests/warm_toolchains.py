"""Toolchains whose interpreters have started already, for every `./doit` of a test run.

One on a small network computes for a second, and its two fork servers import for two. Here each
toolchain has one process that has imported its packages and nothing of the project's. A fork server
is a fork of it, with the code of the folder that asked. `bin/python` asks, and where it can't it is
the interpreter itself.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from pipelines.run.toolchain.installed import Installed
from pipelines.run.toolchain.toolchain import Environments, known, load
from pipelines.run.worker import environment
from tests import warm
from tests.conftest import ROOT

MADE = ROOT / ".npumake" / "toolchains"
WARM = ("core", "rknn-2.5.0")  # what most tests need
# Not in another namespace, where files are others.
PYTHON = """\
#!{own} -IS
import json, os, socket, sys
words = sys.argv[1:]
is_server = len(words) == 3 and words[1].endswith("/pipelines/run/fork_server.py")
if is_server and os.readlink("/proc/self/ns/mnt") == {space!r}:
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect({place!r})
            socket.send_fds(asked, [b"x"], [0, 1, 2])
            order = dict(words=words[1:], folder="/", environment=dict(os.environ))
            asked.sendall(json.dumps(order).encode())
            asked.shutdown(socket.SHUT_WR)
            if asked.recv(1):
                os._exit(0)
    except OSError:
        pass
os.execv({python!r}, [{python!r}, *words])
"""


@cache
def home() -> Path:
    """A folder of toolchains as .npumake/toolchains is: warm ones, and links to the others."""
    environments = Environments(ROOT)
    if environments.missing(known(ROOT)):
        return MADE  # whoever needs one makes it there
    place = Path(tempfile.mkdtemp(prefix="warm-"))
    started = []
    for name in known(ROOT):
        python = environments.python(name)
        if name in WARM:
            started.append(_start(name, python, place / name))
            _lay_out(place / python.parts[-3], python, place / name, name)
        else:
            (place / python.parts[-3]).symlink_to(python.parents[1])
    atexit.register(_end, started, place)
    return place


def _start(name: str, python: Path, place: Path) -> subprocess.Popen[bytes]:
    told = load(ROOT, name)
    packages = [module for module in told.preload if not module.startswith("pipelines")]
    paths = [ROOT / path for path in told.paths]
    return warm.start(python, place, packages, environment(python), paths)


def _lay_out(folder: Path, python: Path, socket: Path, name: str) -> None:
    (folder / "bin").mkdir(parents=True)
    launcher = folder / "bin" / "python"
    launcher.write_text(
        PYTHON.format(
            own=sys.executable,
            space=str(Path("/proc/self/ns/mnt").readlink()),
            place=str(socket),
            python=str(python),
        )
    )
    launcher.chmod(0o755)
    Installed(folder).note((ROOT / "toolchains" / f"{name}.txt").read_bytes())


def _end(started: list[subprocess.Popen[bytes]], place: Path) -> None:
    for process in started:
        process.terminate()
        process.wait()
    shutil.rmtree(place, ignore_errors=True)
