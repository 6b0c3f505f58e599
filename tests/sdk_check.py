"""Runs a check of the simulation in an SDK's toolchain, and reads what it prints."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conftest import ROOT


def run_check(python: Path, module: str, count: int, folder: Path) -> list[dict[str, Any]]:
    """module: prints a line of JSON for each of `count` networks or cases."""
    return run_inside(python, module, ["--count", str(count)], folder)


def run_inside(
    python: Path, module: str, arguments: Sequence[str], folder: Path
) -> list[dict[str, Any]]:
    """The lines of JSON that a module of the tests prints in a toolchain."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "pipelines/backends/rknn/torch_stand_in")])
    ran = subprocess.run(
        [str(python), "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": paths, "TMPDIR": "/proc/self/cwd"},
        cwd=folder,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]
