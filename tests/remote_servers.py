"""Servers on loopback that DVC remotes are on: moto's S3, and OpenSSH's sshd."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SSHD = "/usr/sbin/sshd"
_WAIT_S = 30
_SSHD_CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
PidFile {folder}/pid
AuthorizedKeysFile {folder}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""


@contextmanager
def s3(folder: Path) -> Iterator[list[tuple[str, str]]]:
    """moto's server with an empty bucket. Yields a remote's settings, `url` first."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]

    def make_bucket() -> None:
        urllib.request.urlopen(urllib.request.Request(f"{url}/store", method="PUT")).close()

    with _served(command, folder, make_bucket):
        yield [("url", "s3://store/models"), ("endpointurl", url)]


@contextmanager
def ssh(folder: Path) -> Iterator[list[tuple[str, str]]]:
    """A real sshd, which takes one key. Yields a remote's settings, `url` first."""
    port, user = _free_port(), getpass.getuser()
    for name in ("host", "user"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True)
    (folder / "config").write_text(_SSHD_CONFIG.format(port=port, folder=folder))

    def connect() -> None:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()

    with _served([SSHD, "-D", "-e", "-f", str(folder / "config")], folder, connect):
        url = f"ssh://{user}@127.0.0.1:{port}{folder}/store"
        yield [("url", url), ("keyfile", str(folder / "user"))]


def why_no_ssh() -> str | None:
    """Why no sshd can be started here; None where one can."""
    if not Path(SSHD).exists() or shutil.which("ssh-keygen") is None:
        return "no OpenSSH server here: apt install openssh-server"
    if os.geteuid() == 0 and not Path("/run/sshd").is_dir():
        return "sshd as root needs its folder: mkdir /run/sshd"
    return None


@contextmanager
def _served(command: Sequence[str], folder: Path, is_up: Callable[[], None]) -> Iterator[None]:
    """A server that answers, and is ended afterwards. is_up: raises OSError until it does."""
    with (folder / "server.log").open("wb") as log:
        started = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        end = time.monotonic() + _WAIT_S
        while True:
            try:
                is_up()
                break
            except OSError:
                log_text = (folder / "server.log").read_text()
                assert started.poll() is None, log_text
                assert time.monotonic() < end, log_text
                time.sleep(0.1)
        yield
    finally:
        started.terminate()
        started.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
