"""git and the pinned DVC, as a user runs them, in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests import warm

_TIMEOUT_S = 300
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
    said = warm.capture(words, root, environment_of(root), _TIMEOUT_S)
    if said.code != 0:
        raise Failure(f"{' '.join(words)}: {said.code}\n{said.out}{said.err}")
    return said.out + said.err


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
