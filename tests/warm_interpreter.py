"""Runs in an environment: imports packages and the project's own modules, then is forked for
whoever asks it to run something.

Standard library only. Started by tests.warm.
"""

from __future__ import annotations

import gc
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
    here, *plain = sys.path
    sys.path[:] = [*settings["paths"], *plain, here]
    for module in settings["preload"]:
        importlib.import_module(module)
    code = importlib.import_module("warm_code")
    own = code.OwnCode(settings["root"], settings["own"], is_deep=settings["is_deep"])
    if "dvc.utils.serialize" in sys.modules:
        importlib.import_module("warm_yaml").install(Path(settings["socket"]).parent)
        sys.modules["dvc.cli.parser"].get_main_parser()  # dvc keeps it; it takes 50 ms
    sys.path[:] = plain
    gc.collect()
    gc.freeze()  # a fork that collects garbage would copy every page of what is imported
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
                serve(asked, listener, own)


def reap(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def serve(asked: socket.socket, listener: socket.socket, own: Any) -> None:
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
        own.lend(folder_of_code(order["words"][0]))
        become(order["words"], order["environment"], order["folder"], own)
    for stream in streams:
        os.close(stream)


def folder_of_code(script: str) -> str:
    """The folder whose pipelines and quant it imports; empty where it imports none."""
    for ending in ("/dodo.py", "/pipelines/run/fork_server.py"):
        if script.endswith(ending):
            return script.removesuffix(ending)
    return ""


def tell_the_end(asked: socket.socket) -> None:
    """Go on in a child. In this process: send the child's number and exit code; never return."""
    process = os.fork()
    if process:
        os.closerange(0, 3)
        asked.sendall(f"{process}\n".encode())
        ended = os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        asked.sendall(f"{code}\n".encode())
        closed = select.poll()
        closed.register(asked, 0)
        closed.poll()  # until then no other process has its number: who asked may kill it
        os.waitpid(process, 0)  # its CPU seconds count as this session's
        os._exit(0)


def become(words: list[str], environment: dict[str, str], folder: str, own: Any) -> None:
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
            own.settle()
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
