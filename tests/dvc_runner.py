"""git and the pinned DVC, as a user runs them, in a folder of their own."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from tests import warm

_TIMEOUT_S = 300
_PACKAGES = ("dvc.cli.parser", "dvc.repo", "dvc.repo.status", "dvc.repo.reproduce", "scmrepo.git")
_IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")


class Failure(Exception):
    """A command ended with another code than 0. str(): all that it said."""


def dvc(root: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """What `dvc ARGUMENTS` said on stdout and stderr. Raises Failure.

    A dvc takes a second to import what it needs: it is a fork of one that has.
    """
    if environment:  # Python reads some of it when it starts
        return run([sys.executable, "-m", "dvc", *arguments], root, environment)
    words = ["-m", "dvc", *arguments]
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        Path(os.devnull).open() as nothing,
    ):
        streams = (nothing, out, err)
        code = warm.run(_warm_dvc(), words, root, environment_of(root), streams, _TIMEOUT_S)
        said = ""
        for file in (out, err):
            file.seek(0)
            said += file.read().decode()
    if code != 0:
        raise Failure(f"{' '.join(words)}: {code}\n{said}")
    return said


@cache
def _warm_dvc() -> Path:
    """The socket of an interpreter that has imported DVC; it ends with this process."""
    folder = Path(tempfile.mkdtemp(prefix="dvc-"))
    started = warm.start(Path(sys.executable), folder / "socket", _PACKAGES)

    def end() -> None:
        started.terminate()
        started.wait()
        shutil.rmtree(folder)

    atexit.register(end)
    while not (folder / "socket").exists():
        assert started.poll() is None, "DVC can't be imported"
        time.sleep(0.02)
    return folder / "socket"


def git(root: Path, *arguments: str) -> str:
    return run(["git", *_IDENTITY, *arguments], root)


def environment_of(root: Path) -> dict[str, str]:
    """The user's, without settings of pytest and of the user's own DVC."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "DVC", "GIT_"))}
    home = root.parent / f"{root.name}.dvc-home"
    return {
        **kept,
        "DVC_GLOBAL_CONFIG_DIR": str(home),
        "DVC_SYSTEM_CONFIG_DIR": str(home / "system"),
        "DVC_SITE_CACHE_DIR": str(home / "cache"),
        "DVC_NO_ANALYTICS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def run(command: list[str], root: Path, more: dict[str, str] | None = None) -> str:
    """What the command said on stdout and stderr. Raises Failure."""
    done = subprocess.run(
        command,
        cwd=root,
        env={**environment_of(root), **(more or {})},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr
