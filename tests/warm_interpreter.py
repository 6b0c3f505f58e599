"""Runs in an environment: imports packages, then is forked for whoever asks it to run something.

Standard library only. Started by tests.warm.
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
        place = Path(settings["socket"])
        listener.bind(f"{place}.new")
        listener.listen(64)
        place.with_name(f"{place.name}.new").rename(place)  # who finds it is heard
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
    order = json.loads(b"".join(iter(lambda: asked.recv(1 << 16), b"")))
    if os.fork() == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listener.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        if order.get("is_awaited"):
            tell_the_end(asked)
        else:
            asked.sendall(b"started")
        asked.close()
        if "umask" in order:
            os.umask(order["umask"])
        become(order["words"], order["environment"], order["folder"])
    for stream in streams:
        os.close(stream)


def tell_the_end(asked: socket.socket) -> None:
    """Go on in a child. In this process: send the child's exit code, and never return."""
    process = os.fork()
    if process:
        os.closerange(0, 3)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        asked.sendall(str(code).encode())
        os._exit(0)


def become(words: list[str], environment: dict[str, str], folder: str) -> None:
    """What the interpreter does with these words. Never returns."""
    code: Any = 1
    try:
        os.setsid()
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        if words[0] == "-m":
            sys.argv = words[1:]
            sys.path.insert(0, folder)
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = words
            sys.path.insert(0, str(Path(words[0]).parent))
            runpy.run_path(words[0], run_name="__main__")
        code = 0
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code if isinstance(code, int) else bool(code))


if __name__ == "__main__":
    main()
