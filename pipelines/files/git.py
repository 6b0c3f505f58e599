"""What git tells of the repository around the project."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from quant.fault import Fault


def git(root: Path, *arguments: str) -> str:
    """What the command prints. Raises Fault where git is absent, or says no."""
    return _run(root, arguments, b"").decode("utf-8", "replace")


def answer(root: Path, *arguments: str) -> str | None:
    """What the command prints; None where git says no. Raises Fault where git is absent."""
    done = _done(root, arguments, b"")
    return None if done.returncode else done.stdout.decode("utf-8", "replace")


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
    done = _done(root, arguments, stdin)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        what = said[0] if said else f"git {arguments[0]} failed"
        raise Fault(what, "releases stand on a git repository: git init, git add, git commit")
    return done.stdout


def _done(root: Path, arguments: Sequence[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    command = ["git", "-C", str(root), "--no-optional-locks", *arguments]
    try:
        return subprocess.run(command, input=stdin, capture_output=True, check=False)
    except FileNotFoundError:
        raise Fault("git is not installed", "Debian, Ubuntu: apt install git") from None
