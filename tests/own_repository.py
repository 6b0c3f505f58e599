"""A repository of one's own, made by `npumake init` of an installed wheel, in an empty folder.

Its toolchains have been started before.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from tests import warm, warm_toolchains
from tests.conftest import ROOT
from tests.dvc_runner import dvc, git
from tests.workspace import Ran

_TIMEOUT_S = 600


def build_wheel(folder: Path) -> Path:
    """This repository's wheel, as `pip wheel` has it built, offline."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """By pip into an environment of nothing else. Returns its console script."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]  # its own takes four seconds
    told = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([*pip, "install", "--quiet", "--no-index", wheel], check=True, env=told)
    return folder / "bin" / "npumake"


class OwnRepository:
    """root: what `npumake init` made. Its .venv and toolchains are this checkout's."""

    def __init__(self, npumake: Path, root: Path) -> None:
        self.root = root
        self.made = run([npumake, "init", root], root.parent)
        assert self.made.code == 0, self.made.err
        self._link()
        self.git("config", "user.name", "t")
        self.git("config", "user.email", "t@t")
        self.commit("a repository")

    def copy(self, root: Path) -> OwnRepository:
        """All of it again, as it is now."""
        subprocess.run(["cp", "-a", str(self.root), str(root)], check=True)
        return OwnRepository.of(root)

    @classmethod
    def of(cls, root: Path) -> OwnRepository:
        """One that is there already, a clone too."""
        other = cls.__new__(cls)
        other.root = root
        other._link()
        return other

    def _link(self) -> None:
        # .gitignore's `.venv/` is a folder, and here it is a link.
        (self.root / ".git/info/exclude").write_text("/.venv\n")
        if not (self.root / ".venv").is_symlink():
            (self.root / ".venv").symlink_to(ROOT / ".venv")

    def doit(self, *arguments: str | Path, folder: Path | None = None) -> Ran:
        """folder: where it is started, if not in the repository."""
        words = [str(one) for one in (self.root / "doit", *arguments)]
        return Ran(*warm.capture(words, folder or self.root, environment(), _TIMEOUT_S))

    def git(self, *arguments: str) -> str:
        return git(self.root, *arguments)

    def dvc(self, *arguments: str) -> str:
        return dvc(self.root, *arguments)

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "-q", "-m", message)

    @property
    def status(self) -> str:
        return self.git("status", "--porcelain")


def run(command: list[str | Path], folder: Path) -> Ran:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    return {**kept, "NPUMAKE_HOME": os.environ.get("NPUMAKE_HOME") or str(warm_toolchains.shared())}
