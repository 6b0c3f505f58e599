"""Runs in a toolchain: imports its packages, then becomes a fork server as often as it is asked.

Standard library only. See tests.warm_toolchains.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any


def main() -> None:
    settings = json.loads(sys.argv[1])
    plain = sys.path[1:]  # [0] is this file's folder
    sys.path[:] = [*settings["paths"], *plain]
    for module in settings["preload"]:
        importlib.import_module(module)
    sys.path[:] = plain
    signal.signal(signal.SIGCHLD, reap)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(settings["socket"])
        listener.listen(64)
        known: list[Any] = [0, listener]  # 0 ends with whoever started this
        while listener in select.select(known, [], [])[0]:
            asked, _ = listener.accept()
            with asked:
                serve(asked, listener)


def reap(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def serve(asked: socket.socket, listener: socket.socket) -> None:
    _, streams, _, _ = socket.recv_fds(asked, 1, 3)
    text = b"".join(iter(lambda: asked.recv(1 << 16), b""))
    if os.fork() == 0:
        listener.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        asked.sendall(b"y")
        asked.close()
        become(*json.loads(text))
    for stream in streams:
        os.close(stream)


def become(words: list[str], environment: dict[str, str]) -> None:
    """What the interpreter does with these words. Never returns."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).parent))
        runpy.run_path(words[0], run_name="__main__")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
