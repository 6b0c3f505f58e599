"""What git tells of the repository around the project."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from quant.fault import Fault


def git(root: Path, *arguments: str) -> str:
    """What the command prints. Raises Fault where git is absent, or says no."""
    return _run(root, arguments, b"").decode("utf-8", "replace")


def blobs(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Name of an object -> its text, all by one process. Raises Fault."""
    asked = sorted(names)
    told, place, found = _run(root, ("cat-file", "--batch"), "\n".join(asked).encode()), 0, {}
    for name in asked:
        end = told.index(b"\n", place)
        start, length = end + 1, int(told[place:end].rsplit(b" ", 1)[1])
        found[name] = told[start : start + length].decode("utf-8", "replace")
        place = start + length + 1
    return found


def _run(root: Path, arguments: Sequence[str], stdin: bytes) -> bytes:
    command = ["git", "-C", str(root), "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    except FileNotFoundError:
        raise Fault("git is not installed", "Debian, Ubuntu: apt install git") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        what = said[0] if said else f"git {arguments[0]} failed"
        raise Fault(what, "releases stand on a git repository: git init, git add, git commit")
    return done.stdout
