"""Interpreters that have started and imported already: for what tests start again and again.

Each is a process that has imported packages and the project's own modules, and forks for whoever
asks. The fork has the asker's words, folder, environment and streams, as a new process would, and
the project's modules where the asker's are the same.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

from pipelines.files.commands import COMMANDS
from tests.warm_interpreter import lent, space

# What a ./doit that needs no more imports of other packages. A fork takes as long as its process is
# large: with all that follows, three times as long to make and to end.
_PLAIN = ("doit.doit_cmd", "doit.tools", "fractions", "importlib.metadata", "tomllib", "yaml")
_HEAVY = ("dvc", "numpy", "onnx", "onnxruntime", "ruamel")
# What dvc and the other commands import: half a second to two.
_FRONT = (
    *("doit.doit_cmd", "doit.tools", "importlib.metadata", "numpy", "onnx", "tomllib", "yaml"),
    *("dvc.cachemgr", "dvc.cli.parser", "dvc.data_cloud", "dvc.lock", "dvc.updater"),
    *("dvc.repo", "dvc.repo.graph", "dvc.repo.metrics.diff", "dvc.repo.params.diff"),
    *("dvc.repo.reproduce", "dvc.repo.status", "dvc.repo.trie", "dvc.utils.serialize"),
    *("dvc.repo.artifacts", "dvc.repo.datasets", "dvc.repo.index", "dvc.repo.plots"),
    *("dvc.repo.stage", "dvc.rwlock", "dvc.scm", "dvc.types", "dvc.utils.strictyaml"),
    *("configobj", "dulwich.ignore", "dulwich.trailers", "dulwich.worktree", "dvc.dirs"),
    *("dvc_data.hashfile.db.local", "dvc_render", "fsspec.implementations.memory"),
    *("flatten_dict", "networkx", "platformdirs.unix", "psutil", "pygit2", "ruamel.yaml"),
    *("fractions", "scmrepo.git", "scmrepo.noscm"),
    # What single commands of dvc import.
    *("dulwich.filters", "dvc.render.convert", "dvc.repo.brancher", "dvc.repo.experiments.ls"),
    *("dvc.repo.open_repo", "dvc.repo.worktree", "dvc.ui.table", "dvc.utils.plots", "dvc_data.fs"),
    *("dvc_data.hashfile.gc", "dvc_data.index.push", "rich.json", "rich.live", "rich.status"),
    *("dvc.dagascii", "rich.table", "scmrepo.fs", "statistics", "tabulate"),
)
_ROOT = Path(__file__).resolve().parent.parent
# ./doit's own.
_FRONT_OWN = (
    "pipelines.front.quick",
    "pipelines.front.task_file",
    *(
        ".".join(file.relative_to(_ROOT).with_suffix("").parts)
        for file in sorted(_ROOT.glob("pipelines/front/commands/*/*.py"))
        if file.stem != "__init__"
    ),
)
# Commands that need no package of _HEAVY, beside those that name no command, and run steps. `help`
# of one has doit import all.
_LIGHT = {
    *("clean", "forget", "info", "list", "plan", "run", "step", "table", "toolchains"),
    *("test", "which", "why"),
}
_DOORS, _PULLING = ("/dodo.py", "/doit"), ("--pull", "--cluster")
SHARED = "PYTEST_NPUMAKE_FRONT"  # environment variable: the socket of who shares its own
_MOUNTED_S = 300


class Said(NamedTuple):
    """A process that has ended."""

    code: int
    out: str
    err: str


def start(
    python: Path,
    place: Path,
    preload: Sequence[str],
    own: Sequence[str],
    environment: Mapping[str, str] | None = None,
    paths: Sequence[Path] = (),
    *,
    is_deep: bool = False,
    without: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """place: the socket that it listens on, once all is imported. It ends with this process.

    own, is_deep: modules of the project's, see tests.warm_code. without: packages; what of `own`
    needs one is not imported.
    """
    settings = {
        "socket": str(place),
        "preload": preload,
        "root": str(_ROOT),
        "own": own,
        "paths": [str(path) for path in paths],
        "is_deep": is_deep,
        "without": without,
    }
    script = Path(__file__).with_name("warm_interpreter.py")
    return subprocess.Popen(
        [str(python), "-s", str(script), json.dumps(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd="/",
    )


class Running:
    """A `python WORDS` that a warm interpreter has forked; of subprocess.Popen what tests need."""

    def __init__(
        self,
        place: Path,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        streams: Sequence[IO[Any]],
        **more: object,
    ) -> None:
        """streams: stdin, stdout, stderr. more: of the order, see tests.warm_interpreter.

        Raises OSError where nobody listens at `place` yet.
        """
        order = {
            "words": words,
            "folder": str(folder),
            "environment": dict(environment),
            "umask": _umask(),
            "is_awaited": True,
            **more,
        }
        self._asked = socket.socket(socket.AF_UNIX)
        self._asked.connect(str(place))
        socket.send_fds(self._asked, [b"x"], [stream.fileno() for stream in streams])
        self._asked.sendall(repr(order).encode("utf-8", "surrogateescape"))
        self._asked.shutdown(socket.SHUT_WR)
        self.pid = self._number()
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, below 0 for a signal. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._asked], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a fork", timeout or 0.0)
            self.returncode = self._number()
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Its number may be another process's from now on."""
        self._asked.close()

    def _number(self) -> int:
        """The next line of what it is told; no byte more, for select() sees none that was read.

        Raises ValueError where whoever tells it has died.
        """
        line = b""
        while (byte := self._asked.recv(1)) not in (b"", b"\n"):
            line += byte
        return int(line)


def capture(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    timeout_s: float,
    place: Path | None = None,
    **more: object,
) -> Said:
    """`python -s WORDS`, of the project's own Python or who listens at `place`, that reads nothing.

    more: see Running. Raises subprocess.TimeoutExpired.
    """
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        Path(os.devnull).open() as nothing,
    ):
        streams = (nothing, out, err)
        running = Running(place or _place(words), words, folder, environment, streams, **more)
        with closing(running):
            code = running.wait(timeout_s)
        return Said(code, _text(out), _text(err))


def mounted(mount: str, words: Sequence[str], folder: Path, *, is_shared: bool = False) -> Said:
    """`python -s WORDS` after a shell command, in a namespace of mounts of its own.

    is_shared: whether it has an interpreter like this process's there, for what it runs again and
    again. A message of `mount` or `unshare` on stderr: not allowed here.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    with tempfile.TemporaryDirectory(prefix="front-") as place:
        front: dict[str, Any] = {"front": (SHARED, f"{place}/socket")} if is_shared else {}
        return capture(words, folder, environment, _MOUNTED_S, mounts=mount, **front)


def _umask() -> int:
    """This process's. Asked of Python, it would be another for a moment, in all threads."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("\nUmask:")[2].split()[0], 8)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _place(words: Sequence[str]) -> Path:
    """The socket of who has what these words import: the smaller one where that is enough."""
    place = front_place()
    plain = place.with_name("plain")  # beside() has none
    return plain if _is_light(words) and plain.exists() else place


def _is_light(words: Sequence[str]) -> bool:
    """Whether it is a ./doit that needs nothing of _HEAVY."""
    if not words[0].endswith(_DOORS) or any(one.startswith(_PULLING) for one in words):
        return False
    root = Path(words[0]).parent
    if any(root.glob("models/*/.dvcignore")) or (root / ".dvcignore").exists():  # dvc reads them
        return False
    names = [word for word in words[1:] if not word.startswith("-")]
    return not names or names[0] in _LIGHT or names[0] not in COMMANDS


def front_place() -> Path:
    """The socket of an interpreter that has imported _FRONT; it ends with this process."""
    return shared(SHARED) or _front()


@cache
def _front() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="front-"))
    python = Path(sys.executable)
    plain = start(python, folder / "plain", _PLAIN, _FRONT_OWN, is_deep=True, without=_HEAVY)
    started = start(python, folder / "socket", _FRONT, _FRONT_OWN, is_deep=True)
    kept(plain, folder / "plain", f"one of {_PLAIN}")
    return kept(started, folder / "socket", f"one of {_FRONT}")


@cache
def beside(folder: Path, *packages: str) -> Path:
    """The same that has imported packages of a folder too. It is a fork of the other."""
    place = Path(tempfile.mkdtemp(prefix="front-"))
    atexit.register(shutil.rmtree, place)
    reading, _ = os.pipe()  # the other end is open until this process ends, and then it ends too
    settings = {"socket": str(place / "socket"), "paths": [str(folder)], "preload": packages}
    with os.fdopen(reading) as stream, Path(os.devnull).open("r+") as nothing:
        streams = (stream, nothing, nothing)
        server = Running(front_place(), ["-c", ""], place, os.environ, streams, server=settings)
    while not (place / "socket").exists():
        assert server.poll() is None, f"one of {packages} can't be imported"
        time.sleep(0.02)
    server.close()
    return place / "socket"


def kept(started: subprocess.Popen[bytes], place: Path, what: str) -> Path:
    """The socket, once it listens. Its folder and who listens are gone when this process ends."""

    def end() -> None:
        started.terminate()
        started.wait()
        shutil.rmtree(place.parent, ignore_errors=True)

    atexit.register(end)
    while not place.exists():
        assert started.poll() is None, f"{what} can't be imported"
        time.sleep(0.02)
    return place


def share() -> None:
    """Have the processes that this one starts use its own."""
    lend(SHARED, front_place())


def lend(variable: str, place: Path) -> None:
    """Tell the processes that this one starts of a place."""
    os.environ[variable] = lent(place)


def shared(variable: str) -> Path | None:
    """What was lent; None in another namespace of mounts, where files are others."""
    there, _, place = os.environ.get(variable, "").partition(" ")
    return Path(place) if there == space() else None


def front(
    root: Path,
    arguments: Sequence[str],
    err: IO[Any],
    place: Path | None = None,
    *,
    out: IO[Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Running:
    """`python -s dodo.py ARGUMENTS` in this project, running. The caller closes it.

    place: the socket of who forks it, where that is not the project's own Python.
    """
    kept = {k: v for k, v in environment.items() if not k.startswith("PYTEST")}
    words = [str(root / "dodo.py"), *arguments]
    with Path(os.devnull).open("r+") as nothing:
        return Running(place or _place(words), words, root, kept, (nothing, out or nothing, err))


def doit(
    root: Path, arguments: Sequence[str], environment: Mapping[str, str], timeout_s: float
) -> Said:
    """`python -s dodo.py ARGUMENTS` in this project."""
    return capture([str(root / "dodo.py"), *arguments], root, environment, timeout_s)
