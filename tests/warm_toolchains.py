"""Toolchains whose interpreters have started already, for every `./doit` of a test run.

One on a small network computes for a second, and its two fork servers import for two. Here each
toolchain has one process that has imported its packages and the jobs. A fork server is a fork of
it, with the code of the folder that asked. `bin/python` asks, the first time for the process to be
started, and where it can't it is the interpreter itself.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

from pipelines.run.toolchain.installed import Installed
from pipelines.run.toolchain.toolchain import Environments, known, load
from pipelines.run.worker import environment
from tests import warm
from tests.conftest import ROOT
from tests.warm_interpreter import space

MADE = ROOT / ".npumake" / "toolchains"
WARM = (  # those that jobs run in
    *("core", "rknn-2.5.0", "rknn-2.3.2", "rknn-2.3.0", "rknn-2.2.0", "torch", "tensorflow"),
    *("report", "rknn-2.5.0-torch", "rknn-2.5.0-tensorflow"),
)
# Beside what a toolchain's server imports: what single jobs do, for half a second to three each.
LATE = {
    "torch": (
        *("onnxscript", "sympy", "torch._dynamo", "torch.export._trace"),
        "onnxscript.function_libs.torch_lib.ops",
        "torch.onnx._internal.exporter._compat",
        "torch.onnx._internal.exporter._torchlib.ops",
        "torch.onnx._internal.torchscript_exporter.symbolic_opset20",
    ),
}
# Not in another namespace, where files are others. Of a process that started with the same
# GLIBC_TUNABLES, as nothing reads that again. It imports next to nothing: a `./doit` starts two or
# three.
PYTHON = """\
#!{own} -IS
import os, sys
words = sys.argv[1:]
is_server = len(words) == 3 and words[1].endswith("/pipelines/run/fork_server.py")
if is_server and os.readlink("/proc/self/ns/mnt") == {space!r}:
    import _socket
    def ask(place):
        asked = _socket.socket(_socket.AF_UNIX)
        asked.connect(place)
        return asked
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    place = {place!r} + tunables
    try:
        if not os.path.exists(place):
            asked = ask({starter!r})
            asked.sendall({name!r} + b" " + tunables.encode())
            asked.recv(1)
        asked = ask(place)
        streams = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
        asked.sendmsg([b"x"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
        order = dict(words=words[1:], folder="/", environment=dict(os.environ))
        asked.sendall(repr(order).encode("utf-8", "surrogateescape"))
        asked.shutdown(_socket.SHUT_WR)
        if asked.recv(1):
            os._exit(0)
    except OSError:
        pass
os.execv({python!r}, [{python!r}, *words])
"""
SHARED = "PYTEST_NPUMAKE_WARM"  # environment variable: the home of the process that shares its own
_STARTED: dict[str, subprocess.Popen[bytes]] = {}  # by the name of its socket
_GUARD = threading.Lock()
_TIMEOUT_S = 300


@cache
def home() -> Path:
    """A folder of toolchains as .npumake/toolchains is: warm ones, and links to the others."""
    if theirs := warm.shared(SHARED):
        return theirs
    environments = Environments(ROOT)
    missing = {one.name for one in environments.missing(known(ROOT))}
    if missing & {*WARM}:
        return MADE  # whoever needs one makes it there
    place = Path(tempfile.mkdtemp(prefix="warm-"))
    for name in (one for one in known(ROOT) if one not in missing):
        # Not environments.python(), which looks at every file of it: so does who uses it.
        folder = environments._made(load(ROOT, name))
        assert folder is not None
        python = folder / "bin" / "python"
        if name in WARM:
            _lay_out(place, python, name)
        else:
            (place / python.parts[-3]).symlink_to(python.parents[1])
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place / "starter"))
    listener.listen()
    threading.Thread(target=_listen, args=(listener,), daemon=True).start()
    atexit.register(_end, place)
    return place


@cache
def shared() -> Path:
    """A folder for NPUMAKE_HOME that has these toolchains."""
    place = Path(tempfile.mkdtemp(prefix="warm-home-"))
    (place / "toolchains").symlink_to(home())
    atexit.register(shutil.rmtree, place)
    return place


def share() -> None:
    """Have the processes that this one starts use its own."""
    if home() != MADE:
        warm.lend(SHARED, home())


def start(name: str, tunables: str = "") -> None:
    """Have a toolchain's process started, and wait until it has imported its packages.

    tunables: the GLIBC_TUNABLES that it starts with.
    """
    place = home() / (name + tunables)
    if warm.shared(SHARED):
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(str(home() / "starter"))
            asked.sendall(f"{name} {tunables}".encode())
            asked.recv(1)
        assert place.exists(), f"{name} was not started"
        return
    _start(name, tunables)


def run(name: str, script: str, folder: Path) -> str:
    """What a script prints in a toolchain, run in `folder`; the project's folder is on its path.

    Fails the test where the script fails. A Python that is started for it imports torch for three
    seconds, and tensorflow for six.
    """
    start(name)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "script.py")
        file.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{script}")
        said = warm.capture([str(file)], folder, environment, _TIMEOUT_S, home() / name)
    assert said.code == 0, said.err
    return said.out


def _start(name: str, tunables: str) -> None:
    started = name + tunables
    with _GUARD:
        if started not in _STARTED:
            told, python = load(ROOT, name), Environments(ROOT).python(name)
            own = [module for module in told.preload if module.startswith("pipelines")]
            packages = [module for module in told.preload if module not in own]
            own.append("pipelines.run.job_server")
            packages += LATE.get(name, ())
            paths = [ROOT / path for path in told.paths]
            given = environment(python) | ({"GLIBC_TUNABLES": tunables} if tunables else {})
            _STARTED[started] = warm.start(python, home() / started, packages, own, given, paths)
    while not (home() / started).exists():
        assert _STARTED[started].poll() is None, f"a package of {name} can't be imported"
        time.sleep(0.02)


def _listen(listener: socket.socket) -> None:
    while True:
        asked, _ = listener.accept()
        threading.Thread(target=_answer, args=(asked,), daemon=True).start()


def _answer(asked: socket.socket) -> None:
    with asked:
        name, _, tunables = asked.recv(1000).decode().partition(" ")
        _start(name, tunables)


def _lay_out(home: Path, python: Path, name: str) -> None:
    folder = home / python.parts[-3]
    (folder / "bin").mkdir(parents=True)
    write_launcher(folder / "bin" / "python", python, home / name, name)
    Installed(folder).note((ROOT / "toolchains" / f"{name}.txt").read_bytes())


def write_launcher(place: Path, python: Path, server: Path, name: str = "") -> None:
    """An executable `python` whose fork servers are those of an interpreter that has started.

    server: its socket. name: what to ask home()'s starter for, where it has not started.
    """
    starter = server.parent / "starter"
    if launcher := _compiled():
        shutil.copy(launcher, place)
        told = (space(), server, starter, name, python)
        place.with_name(f"{place.name}.told").write_text("".join(f"{each}\n" for each in told))
        return
    place.write_text(
        PYTHON.format(
            own=sys.executable,
            space=space(),
            place=str(server),
            starter=str(starter),
            name=name.encode(),
            python=str(python),
        )
    )
    place.chmod(0o755)


@cache
def _compiled() -> Path | None:
    """launcher.c, which does as PYTHON does in a tenth of its time; None without a compiler."""
    folder = Path(tempfile.mkdtemp(prefix="launcher-"))
    atexit.register(shutil.rmtree, folder)
    source, made = Path(__file__).with_name("launcher.c"), folder / "launcher"
    try:
        subprocess.run(["cc", "-O1", "-o", made, source], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return made


def _end(place: Path) -> None:
    with _GUARD:
        for process in _STARTED.values():
            process.terminate()
            process.wait()
    shutil.rmtree(place, ignore_errors=True)
