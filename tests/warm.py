"""Interpreters that have started and imported already: for what tests start again and again.

Each is a process that has imported packages and nothing of the project's, and forks for whoever
asks. The fork has the asker's words, folder, environment and streams, as a new process would.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any


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
        "is_awaited": True,
    }
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(str(place))
        asked.settimeout(timeout_s)
        socket.send_fds(asked, [b"x"], [stream.fileno() for stream in streams])
        asked.sendall(json.dumps(order).encode())
        asked.shutdown(socket.SHUT_WR)
        return int(asked.recv(16))
