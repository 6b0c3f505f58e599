"""A compiled network on a board, by the SDK's own way: adb and the board's rknn_server.

The SDK says `RuntimeError` and a return code where no board answers, and first asks the board for
root; so the bundled adb is asked before it which boards there are. `adb devices` is described at
https://android.googlesource.com/platform/packages/modules/adb/+/refs/heads/main/docs/user/adb.1.md
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from pipelines.run.jobs.refusal import Refusal

_WAIT_S = 30
_PORT = 5037  # adb's server, where ANDROID_ADB_SERVER_PORT names no other
CONNECT = (
    "connect it by USB with debugging on, or `adb connect ADDRESS` by network; it must run the "
    "rknn_server that belongs to its librknnrt.so (on the board: `restart_rknn.sh`)"
)
_ADVICE = {
    "unauthorized": "allow this computer on the board, or put its adbkey.pub there",
    "offline": "plug it in again, or `adb reconnect`",
    "no permissions": "give your user the USB device: a udev rule, then plug it in again",
}


def adb() -> Path:
    """The adb that rknn-toolkit2 brings and calls. Raises Refusal where the package has none."""
    spec = find_spec("rknn")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        found = sorted(Path(folder, "3rdparty", "platform-tools", "adb").glob("linux-*/adb"))
        if found:
            return found[0]
    raise Refusal("this rknn-toolkit2 brings no adb", "name another toolchain for the target")


@contextmanager
def adb_server(program: Path) -> Iterator[None]:
    """adb's server: the one that runs already and stays, or one that ends with the block.

    It would go on for ever, and only one at a time can hold a board.
    """
    with socket.socket() as probe:
        port = int(os.environ.get("ANDROID_ADB_SERVER_PORT") or _PORT)
        is_there = probe.connect_ex(("127.0.0.1", port)) == 0
    try:
        yield
    finally:
        if not is_there:
            _call(program, "kill-server")


def boards(program: Path) -> dict[str, str]:
    """Serial number, or address -> state as adb says it, `device` where it is ready."""
    return read_boards(_call(program, "devices"))


def read_boards(text: str) -> dict[str, str]:
    """The lines `SERIAL<tab>STATE` of `adb devices`, and not what a starting server says."""
    pairs = (line.split("\t", 1) for line in text.splitlines() if "\t" in line)
    return {serial.strip(): state.strip() for serial, state in pairs}


def require(device: str, found: Mapping[str, str]) -> None:
    """Raises Refusal where the board is not there, or not ready."""
    state = found.get(device)
    if state is None:
        there = ", ".join(found) or "none"
        raise Refusal(f"adb knows no board `{device}`; it knows: {there}", CONNECT)
    if state != "device":
        advice = next((words for key, words in _ADVICE.items() if state.startswith(key)), CONNECT)
        raise Refusal(f"the board `{device}` is not ready: adb says `{state}`", advice)


def _call(program: Path, *arguments: str) -> str:
    """What adb prints. Raises Refusal where it fails or hangs."""
    command = " ".join(("adb", *arguments))
    try:
        done = subprocess.run(
            [str(program), *arguments], capture_output=True, text=True, timeout=_WAIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        what = f"`{command}` did not answer in {_WAIT_S} s"
        raise Refusal(what, "end adb's server: `adb kill-server`") from None
    except OSError as error:
        raise Refusal(f"{program}: {error.strerror}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise Refusal(f"`{command}` failed: {said[-1]}")
    return done.stdout
