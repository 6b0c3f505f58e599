"""A git checkout of the project with models of its own, in which git, DVC and ./doit run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests import warm_toolchains
from tests.conftest import ROOT
from tests.dvc_runner import dvc, git
from tests.workspace import Workspace

_MODES = (".gitignore", ".dvc/.gitignore")


class Checkout(Workspace):
    """root: the checkout. Its toolchains and .venv are the project's own."""

    def __init__(self, root: Path) -> None:
        """A new repository, without models and commits."""
        root.mkdir(parents=True)
        super().__init__(root)
        for file in _MODES:
            shutil.copyfile(ROOT / file, root / file)
        git(root, "init", "-q", "-b", "main")
        self._link()

    @classmethod
    def of(cls, root: Path) -> Checkout:
        """A checkout that is there already."""
        self = cls.__new__(cls)
        self.root = root
        self._link()
        return self

    def copy(self, root: Path) -> Checkout:
        """All of it again, cache and outputs included."""
        subprocess.run(["cp", "-a", str(self.root), str(root)], check=True)
        return Checkout.of(root)

    def clone(self, root: Path) -> Checkout:
        """What a colleague has after `git clone`."""
        git(self.root.parent, "clone", "-q", str(self.root), str(root))
        local = self.root / ".dvc/config.local"
        if local.is_file():
            shutil.copyfile(local, root / ".dvc/config.local")
        return Checkout.of(root)

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "-q", "-m", message)

    def git(self, *arguments: str) -> str:
        return git(self.root, *arguments)

    def dvc(self, *arguments: str) -> str:
        return dvc(self.root, *arguments)

    def _link(self) -> None:
        (self.root / ".npumake").mkdir(exist_ok=True)
        links = {".venv": ROOT / ".venv", ".npumake/toolchains": warm_toolchains.home()}
        for name, target in links.items():
            if not (self.root / name).is_symlink():
                (self.root / name).symlink_to(target)
        # `.venv/` in .gitignore is a folder's name, and here it is a link.
        (self.root / ".git/info").mkdir(exist_ok=True)
        (self.root / ".git/info/exclude").write_text("/.venv\n")
