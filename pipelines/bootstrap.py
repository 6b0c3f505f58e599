"""Makes .venv, on the standard library alone: nothing is installed yet."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from pipelines.pip_config import read, uv_environment


def make_once(root: str, is_made: Callable[[], bool]) -> None:
    """Make .venv, unless another first run does so meanwhile. Raises SystemExit, OSError."""
    with Path(root, ".venv.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not is_made():
            _make(Path(root))


def _make(root: Path) -> None:
    venv, pins = root / ".venv", root / "toolchains" / "npumake.txt"
    text = pins.read_text(encoding="utf-8")
    sizes = f"{_field(text, 'download')} to download, {_field(text, 'disk')} on disk"
    _say(f"first run: making .venv for npumake itself ({sizes})")
    _make_venv(venv)
    python = str(venv / "bin" / "python")
    uv = next(line for line in text.splitlines() if line.startswith("uv=="))
    _say(f"installing {uv}")
    if _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", uv]) != 0:
        _stop(f"pip could not install {uv}", "see pip's message above; then run ./doit again")
    _say("installing the rest")
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    install = [str(venv / "bin" / "uv"), *quiet, "pip", "install", "--no-deps"]
    command = [*install, "--python", python, "-r", str(pins)]
    if _run(command, {**os.environ, **uv_environment(read(python))}) != 0:
        _stop(
            "uv could not install npumake's own packages",
            "see uv's message above; then run ./doit again: it starts over",
        )
    (venv / "made-from").write_text(hashlib.sha256(pins.read_bytes()).hexdigest() + "\n")


def _make_venv(venv: Path) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    if _run([sys.executable, "-m", "venv", str(venv)], is_quiet=True) != 0:
        shutil.rmtree(venv, ignore_errors=True)
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        _stop(
            "this Python can't make a virtual environment",
            f"install its venv module (Debian, Ubuntu: apt install {version}-venv)",
        )


def _field(text: str, name: str) -> str:
    """A value from the head of the pins, such as `# disk: 400 MB`."""
    head = f"# {name}:"
    return next(
        (line[len(head) :].strip() for line in text.splitlines() if line.startswith(head)), "?"
    )


def _run(
    command: list[str], environment: dict[str, str] | None = None, is_quiet: bool = False
) -> int:
    # stdout is for data, and there is none here.
    out = subprocess.DEVNULL if is_quiet else sys.stderr
    return subprocess.run(command, stdout=out, env=environment).returncode


def _say(text: str) -> None:
    print(f"npumake: {text}", file=sys.stderr, flush=True)


def _stop(what: str, advice: str) -> NoReturn:
    raise SystemExit(f"npumake: {what}\n  {advice}")
