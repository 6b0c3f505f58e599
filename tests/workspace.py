"""A copy of the project with models of its own, in which `./doit` runs for real."""

from __future__ import annotations

import compileall
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests import warm, warm_toolchains
from tests.code_copy import Code
from tests.conftest import ROOT

PARTS = ("dodo.py", "doit", "pyproject.toml", "pipelines", "quant", "toolchains", ".dvc/config")


@dataclass(frozen=True)
class Ran:
    """One finished command line."""

    code: int
    out: str
    err: str

    @property
    def steps(self) -> dict[str, str]:
        """Step -> ran, restored, FAILED or not run, of those that were told."""
        told = re.findall(r"^(\S+:\S+) +(\d+\.\d+ s|restored|FAILED|not run)", self.err, re.M)
        return {name: "ran" if what.endswith(" s") else what for name, what in told}


@cache
def _code() -> Code:
    """Compiled, so that no copy compiles for itself what only jobs import."""
    for part in ("pipelines", "quant"):
        compileall.compile_dir(ROOT / part, quiet=2)
    return Code(ROOT, [part for part in PARTS if (ROOT / part).is_dir()])


class Workspace:
    """root: the copy. toolchains: where the project's own are; by default those started before.

    is_compiled: whether the copy has bytecode, for what no fork of those has imported.
    """

    def __init__(
        self, root: Path, toolchains: Path | None = None, *, is_compiled: bool = True
    ) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        _code().write(root, is_compiled=is_compiled)
        for part in PARTS:
            source, target = ROOT / part, root / part
            if not source.is_dir():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        (root / "models").mkdir()
        (root / ".npumake").mkdir()
        (root / ".npumake" / "toolchains").symlink_to(toolchains or warm_toolchains.home())

    def add(self, name: str, recipe: Mapping[str, Any], **files: Path | bytes | str) -> Path:
        """A model's folder. files: name with `__` for `.` -> source path or content."""
        folder = self.root / "models" / name
        folder.mkdir()
        for key, content in files.items():
            self.put(folder / key.replace("__", "."), content)
        text = yaml.safe_dump({"model": name, **recipe}, sort_keys=False)
        (folder / "recipe.yaml").write_text(text)
        return folder

    @staticmethod
    def put(place: Path, content: Path | bytes | str) -> None:
        if isinstance(content, Path):
            copy = shutil.copytree if content.is_dir() else shutil.copyfile
            copy(content, place)
        elif isinstance(content, bytes):
            place.write_bytes(content)
        else:
            place.write_text(content)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a model's recipe; the text must be there."""
        place = self.root / "models" / name / "recipe.yaml"
        text = place.read_text()
        assert old in text, text
        place.write_text(text.replace(old, new))

    def doit(self, *arguments: str, timeout_s: float = 600) -> Ran:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        return Ran(*warm.doit(self.root, arguments, environment, timeout_s))

    def built(self, name: str, path: str) -> Path:
        return self.root / "models" / name / "build" / path
