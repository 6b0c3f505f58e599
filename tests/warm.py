"""Interpreters that have started and imported already: for what tests start again and again.

Each is a process that has imported packages and nothing of the project's, and forks for whoever
asks. The fork has the asker's words, folder, environment and streams, as a new process would.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

# What dvc and ./doit import of other packages: half a second to two.
_FRONT = (
    "doit.doit_cmd",
    "doit.tools",
    "dvc.cli.parser",
    "dvc.repo",
    "dvc.repo.reproduce",
    "dvc.repo.status",
    "importlib.metadata",
    "numpy",
    "onnx",
    "scmrepo.git",
    "tomllib",
    "yaml",
)


class Said(NamedTuple):
    """A process that has ended."""

    code: int
    out: str
    err: str


def start(
    python: Path,
    place: Path,
    preload: Sequence[str],
    environment: Mapping[str, str] | None = None,
    paths: Sequence[Path] = (),
) -> subprocess.Popen[bytes]:
    """place: the socket that it listens on, once all is imported. It ends with this process."""
    settings = {"socket": str(place), "preload": preload, "paths": [str(path) for path in paths]}
    script = Path(__file__).with_name("warm_interpreter.py")
    return subprocess.Popen(
        [str(python), "-s", str(script), json.dumps(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd="/",
    )


def run(
    place: Path,
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    streams: Sequence[IO[Any]],
    timeout_s: float,
) -> int:
    """Run `python WORDS` to its end. streams: stdin, stdout, stderr. Returns its exit code.

    Raises OSError where nobody listens yet, TimeoutError.
    """
    order = {
        "words": words,
        "folder": str(folder),
        "environment": dict(environment),
        "umask": _umask(),
        "is_awaited": True,
    }
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(str(place))
        asked.settimeout(timeout_s)
        socket.send_fds(asked, [b"x"], [stream.fileno() for stream in streams])
        asked.sendall(json.dumps(order).encode())
        asked.shutdown(socket.SHUT_WR)
        return int(asked.recv(16))


def capture(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float
) -> Said:
    """`python -s WORDS`, of the project's own Python, that reads nothing. Raises TimeoutError."""
    if "PYTHONPATH" in environment:  # read when Python starts
        return _anew(words, folder, environment, timeout_s)
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        Path(os.devnull).open() as nothing,
    ):
        code = run(_front(), words, folder, environment, (nothing, out, err), timeout_s)
        return Said(code, _text(out), _text(err))


def _umask() -> int:
    """This process's. Asked of Python, it would be another for a moment, in all threads."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("\nUmask:")[2].split()[0], 8)


def _anew(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float
) -> Said:
    try:
        done = subprocess.run(
            [sys.executable, "-s", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(str(error)) from error
    return Said(done.returncode, done.stdout, done.stderr)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@cache
def _front() -> Path:
    """The socket of an interpreter that has imported _FRONT; it ends with this process."""
    folder = Path(tempfile.mkdtemp(prefix="front-"))
    started = start(Path(sys.executable), folder / "socket", _FRONT)

    def end() -> None:
        started.terminate()
        started.wait()
        shutil.rmtree(folder)

    atexit.register(end)
    while not (folder / "socket").exists():
        assert started.poll() is None, f"one of {_FRONT} can't be imported"
        time.sleep(0.02)
    return folder / "socket"


def doit(
    root: Path, arguments: Sequence[str], environment: Mapping[str, str], timeout_s: float
) -> Said:
    """`python -s dodo.py ARGUMENTS` in this project."""
    return capture([str(root / "dodo.py"), *arguments], root, environment, timeout_s)
