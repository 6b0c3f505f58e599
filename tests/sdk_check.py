"""Runs a check of the simulation in an SDK's toolchain, and reads what it prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests import warm_toolchains
from tests.conftest import ROOT

SCRIPT = """
import os, runpy, tempfile
tempfile.tempdir = os.environ["TMPDIR"] = "/proc/self/cwd"
sys.path.insert(1, {stand_in!r})
sys.argv = {words!r}
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def run_check(toolchain: str, module: str, count: int, folder: Path) -> list[dict[str, Any]]:
    """module: prints a line of JSON for each of `count` networks or cases."""
    return run_inside(toolchain, module, ["--count", str(count)], folder)


def run_inside(
    toolchain: str, module: str, arguments: Sequence[str], folder: Path
) -> list[dict[str, Any]]:
    """The lines of JSON that a module of the tests prints in a toolchain."""
    stand_in = str(ROOT / "pipelines/backends/rknn/torch_stand_in")
    script = SCRIPT.format(stand_in=stand_in, words=[module, *arguments])
    printed = warm_toolchains.run(toolchain, script, folder)
    return [json.loads(line) for line in printed.splitlines()]
