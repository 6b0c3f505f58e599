"""Makes .venv, on the standard library alone: nothing is installed yet."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from pipelines.files.engine import TOOLCHAINS
from pipelines.files.only_one import only_one
from pipelines.run.toolchain.installed import Installed
from pipelines.run.toolchain.pip_config import install_environment, read, uv_environment


def make_once(root: str, is_made: Callable[[], bool]) -> None:
    """Make .venv, unless another first run does so meanwhile. Raises SystemExit, OSError."""
    with only_one(Path(root, ".venv.lock")):
        if not is_made():
            _make(Path(root))


def _make(root: Path) -> None:
    venv, pins = root / ".venv", root / TOOLCHAINS / "npumake.txt"
    text = pins.read_text(encoding="utf-8")
    sizes = f"{_field(text, 'download')} to download, {_field(text, 'disk')} on disk"
    _say(f"first run: making .venv for npumake itself ({sizes})")
    _make_venv(venv)
    python = str(venv / "bin" / "python")
    environment, left_out = install_environment()
    for sentence in left_out:
        _say(sentence)
    _install_uv(python, text, environment)
    _say("installing the rest")
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    install = [str(venv / "bin" / "uv"), *quiet, "pip", "install", "--no-deps", "--require-hashes"]
    command = [*install, "--build-constraints", str(pins), "--python", python, "-r", str(pins)]
    if _run(command, {**environment, **uv_environment(read(python))}) != 0:
        _stop(
            "uv could not install npumake's own packages",
            "see uv's message above; then run ./doit again: it starts over",
        )
    Installed(venv).note(pins.read_bytes())
    (venv / "made-from").write_text(hashlib.sha256(pins.read_bytes()).hexdigest() + "\n")


def _install_uv(python: str, pins: str, environment: dict[str, str]) -> None:
    """pip takes hashes from a file alone."""
    pin = pins[pins.index("\nuv==") + 1 :]
    lines = [line.rstrip(" \\") for line in pin.splitlines()]
    hashes = itertools.takewhile(lambda line: line.startswith(" "), lines[1:])
    _say(f"installing {lines[0]}")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(" \\\n".join([lines[0], *hashes]) + "\n")
        file.flush()
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        code = _run([*pip, "--no-deps", "--require-hashes", "-r", file.name], environment)
    if code != 0:
        _stop(f"pip could not install {lines[0]}", "see pip's message above; then run ./doit again")


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
