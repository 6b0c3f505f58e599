"""Runs in an environment: imports packages and the project's own modules, then is forked for
whoever asks it to run something, or to import more and be forked in its place.

Standard library only. Started by tests.warm.
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000  # linux/sched.h
DOOR = "/doit"
HUGE = 2 << 20
MADV_COLLAPSE = 25  # linux/mman.h
# What runpy imports when it runs, and reading a recipe.
_OF_EVERY_FORK = ("encodings.utf_8_sig", "pkgutil")


def main() -> None:
    settings = json.loads(sys.argv[1])
    gc.disable()  # what imports make stays: to look for garbage among it takes a third of torch's
    here, *plain = sys.path
    import_all(settings, here)
    for module in _OF_EVERY_FORK:
        importlib.import_module(module)
    sys.path.append(here)
    code = importlib.import_module("warm_code")
    own = imported_without(
        settings["without"],
        lambda: code.OwnCode(settings["root"], settings["own"], is_deep=settings["is_deep"]),
    )
    if "dvc.utils.serialize" in sys.modules:
        importlib.import_module("warm_yaml").install(Path(settings["socket"]).parent)
        sys.modules["dvc.cli.parser"].get_main_parser()  # dvc keeps it; it takes 50 ms
    sys.path[:] = plain
    gc.collect()
    gc.freeze()  # a fork that collects garbage would copy every page of what is imported
    gc.enable()
    use_huge_pages()
    with listen(Path(settings["socket"])) as listener:
        Server(listener, own).serve()


def imported_without(packages: Sequence[str], act: Callable[[], Any]) -> Any:
    """What it gives where these can't be imported; then they can."""
    sys.modules.update(dict.fromkeys(packages))  # type: ignore[arg-type]
    made = act()
    for name in packages:
        del sys.modules[name]
    return made


def import_all(settings: dict[str, Any], *last: str) -> None:
    """The packages `preload`, also of the folders `paths`, whose own are before others."""
    plain = [*sys.path]
    sys.path[:] = [*settings["paths"], *plain, *last]
    for module in settings["preload"]:
        importlib.import_module(module)
    sys.path[:] = plain


def listen(place: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{place}.new")
    listener.listen(64)
    place.with_name(f"{place.name}.new").rename(place)  # who finds it is heard
    return listener


def use_huge_pages() -> None:
    """Have 2 MB a page where the kernel can (Linux 6.1): a fork has the table of pages copied."""
    madvise = ctypes.CDLL(None).madvise
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, access, _, _, inode, *name = line.split()
        begin, end = (int(place, 16) for place in span.split("-"))
        begin = -(-begin // HUGE) * HUGE
        if "w" in access and inode == "0" and name in ([], ["[heap]"]) and begin + HUGE <= end:
            size = (end - begin) // HUGE * HUGE
            madvise(ctypes.c_void_p(begin), ctypes.c_size_t(size), MADV_COLLAPSE)


def lent(place: Path) -> str:
    """What a variable says that tells other processes of a place."""
    return f"{space()} {place}"


def space() -> str:
    """This namespace of mounts: in another one, files are others."""
    return str(Path("/proc/self/ns/mnt").readlink())


class Server:
    """Forks for whoever connects, and tells those who wait of the end.

    One fork an order: of a process as large as this, that takes a tenth of a test's `./doit`.
    """

    def __init__(self, listener: socket.socket, own: Any) -> None:
        self._listener = listener
        self._own = own
        self._awaited: dict[int, socket.socket] = {}  # process that runs -> who waits
        self._ended: dict[socket.socket, int] = {}  # who was told -> process, not yet reaped
        self._alone = set[int]()  # whom nobody waits for
        self._wake, self._alarm = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._alarm, False)
        signal.set_wakeup_fd(self._alarm, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Until stdin closes, with the process that started this."""
        while True:
            known: list[Any] = [0, self._wake, self._listener, *self._ended]
            readable, _, _ = select.select(known, [], [])
            if 0 in readable:
                return
            if self._wake in readable:
                os.read(self._wake, 4096)
                self._tell()
            for asked in self._ended.keys() & readable:
                # Closed: until now no other process had its number, for who asked may kill it.
                os.waitpid(self._ended.pop(asked), 0)
                asked.close()
            if self._listener in readable:
                self._obey(self._listener.accept()[0])

    def _tell(self) -> None:
        """Those who wait of the processes that have ended; reap the others."""
        self._alone = {one for one in self._alone if not os.waitpid(one, os.WNOHANG)[0]}
        for process, asked in [*self._awaited.items()]:
            how = os.WEXITED | os.WNOWAIT | os.WNOHANG
            if (ended := os.waitid(os.P_PID, process, how)) is not None:
                code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
                del self._awaited[process]
                self._ended[asked] = process
                _send(asked, code)

    def _obey(self, asked: socket.socket) -> None:
        _, streams, _, _ = socket.recv_fds(asked, 1, 3)
        order = ast.literal_eval(_text(asked))
        process = os.fork()
        if process == 0:
            self._leave()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            asked.close()
            if "umask" in order:
                os.umask(order["umask"])
            if "mounts" in order:
                mount(order["mounts"])
            if "server" in order:
                self._stand_in(order["server"])
            if "front" in order:
                order["environment"][order["front"][0]] = self._share(order["front"][1])
            # dvc imports nothing of the project's, and the door's dodo.py is lent it.
            if order["words"][0] != "-m" and not order["words"][0].endswith(DOOR):
                self._own.lend(folder_of_code(order["words"][0], order["folder"]))
            become(order["words"], order["environment"], order["folder"], self._own)
        for stream in streams:
            os.close(stream)
        _send(asked, process)
        if order.get("is_awaited"):
            self._awaited[process] = asked
        else:
            self._alone.add(process)
            asked.close()

    def _stand_in(self, settings: dict[str, Any]) -> None:
        """Import more, and be forked for whoever asks, until stdin closes. Never returns."""
        os.setsid()
        try:
            import_all(settings)
            gc.collect()
            gc.freeze()
            with listen(Path(settings["socket"])) as listener:
                Server(listener, self._own).serve()
        finally:
            os._exit(0)

    def _share(self, place: str) -> str:
        """A fork for whoever asks in this namespace, until this process ends: what is lent."""
        reading, writing = os.pipe()
        listener = listen(Path(place))
        if os.fork() == 0:
            os.dup2(reading, 0)
            os.close(reading)
            os.close(writing)
            try:
                Server(listener, self._own).serve()
            finally:
                os._exit(0)
        os.close(reading)
        listener.close()
        return lent(Path(place))

    def _leave(self) -> None:
        """In a fork: what is its server's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for one in (self._listener, *self._awaited.values(), *self._ended):
            one.close()
        os.close(self._wake)
        os.close(self._alarm)


def _text(asked: socket.socket) -> str:
    """All that is sent."""
    return b"".join(iter(lambda: asked.recv(1 << 16), b"")).decode("utf-8", "surrogateescape")


def _send(asked: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # it has gone: its end is closed, and that is seen
        asked.sendall(f"{number}\n".encode())


def mount(command: str) -> None:
    """Run a shell command in a new namespace of mounts, this process's from now on.

    Ends it where that is not allowed, with a message of `unshare` or `mount`.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0:
        os.write(2, f"unshare: {os.strerror(ctypes.get_errno())}\n".encode())
        os._exit(1)
    maps = {"setgroups": "deny", "uid_map": f"0 {user} 1", "gid_map": f"0 {group} 1"}
    for name, text in maps.items():
        Path("/proc/self", name).write_text(text)
    if code := os.system(f"mount --make-rprivate / && {command}"):
        os._exit(os.waitstatus_to_exitcode(code))


def folder_of_code(script: str, folder: str) -> str:
    """The folder whose pipelines and quant it imports; empty where it imports none."""
    if script == "-c":
        return folder
    for ending in ("/dodo.py", "/pipelines/run/fork_server.py"):
        if script.endswith(ending):
            place = script.removesuffix(ending)
            engine = f"{place}/.npumake/engine"
            return engine if Path(engine).is_dir() else place
    return ""


def write_as_started() -> None:
    """To a terminal: dvc has colorama take from what is written what /dev/null can't show."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, f"__{name}__")
        if stream.isatty():
            stream.reconfigure(line_buffering=True)
            setattr(sys, name, stream)


def become(words: list[str], environment: dict[str, str], folder: str, own: Any) -> None:
    """What the interpreter does with these words. Never returns."""
    code: Any = 1
    try:
        if os.getsid(0) != os.getpid():
            os.setsid()
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        write_as_started()
        sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(":") if path]
        if words[0] == "-m":
            sys.argv = words[1:]
            sys.path.insert(0, folder)
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        elif words[0] == "-c":
            sys.argv = ["-c", *words[2:]]
            sys.path.insert(0, "")
            own.settle()
            exec(words[1], {"__name__": "__main__"})
        else:
            sys.argv = words
            sys.path.insert(0, str(Path(words[0]).parent))
            if words[0].endswith(DOOR):
                os.execve = opened(own)
            else:
                own.settle()
            runpy.run_path(words[0], run_name="__main__")
        code = 0
    except SystemExit as error:
        code = error.code
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code if isinstance(code, int) else bool(code))


def opened(own: Any) -> Any:
    """os.execve for the front door: it becomes a ./doit of the same Python, which this is."""
    plain, here = os.execve, list(sys.path[1:])

    def execve(python: str, words: list[str], environment: dict[str, str]) -> None:
        os.execve = plain
        options = ["-s", "-X", "utf8"]
        if words[1:4] != options or Path(python).resolve() != Path(sys.executable).resolve():
            plain(python, words, environment)
        sys.executable, sys.path[:] = python, here
        own.lend(folder_of_code(words[4], ""))
        become(words[4:], dict(environment), str(Path.cwd()), own)

    return execve


if __name__ == "__main__":
    main()
