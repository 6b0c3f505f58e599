"""A repository of one's own, made by `npumake init` of an installed wheel, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from tests.conftest import ROOT
from tests.dvc_runner import git
from tests.workspace import Ran


def build_wheel(folder: Path) -> Path:
    """This repository's wheel, as `pip wheel` has it built, offline."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """By pip into an environment of nothing else. Returns its console script."""
    venv.create(folder, with_pip=True, symlinks=True)
    pip: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        wheel,
    ]
    subprocess.run(pip, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    return folder / "bin" / "npumake"


class OwnRepository:
    """root: what `npumake init` made. Its .venv and toolchains are this checkout's."""

    def __init__(self, npumake: Path, root: Path) -> None:
        self.root = root
        self.made = run([npumake, "init", root], root.parent)
        assert self.made.code == 0, self.made.err
        # .gitignore's `.venv/` is a folder, and here it is a link.
        (root / ".git/info/exclude").write_text("/.venv\n")
        (root / ".venv").symlink_to(ROOT / ".venv")
        self.commit("a repository")

    def copy(self, root: Path) -> OwnRepository:
        """All of it again, as it is now."""
        subprocess.run(["cp", "-a", str(self.root), str(root)], check=True)
        other = OwnRepository.__new__(OwnRepository)
        other.root = root
        return other

    def doit(self, *arguments: str | Path) -> Ran:
        return run([sys.executable, self.root / "doit", *arguments], self.root)

    def commit(self, message: str) -> None:
        git(self.root, "add", "--all")
        git(self.root, "commit", "-q", "-m", message)

    @property
    def status(self) -> str:
        return git(self.root, "status", "--porcelain")


def run(command: list[str | Path], folder: Path) -> Ran:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    home = os.environ.get("NPUMAKE_HOME", str(ROOT / ".npumake"))
    done = subprocess.run(
        command,
        cwd=folder,
        env={**kept, "NPUMAKE_HOME": home},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
