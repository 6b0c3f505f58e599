"""A real browser, offline: Debian's chromium, driven by Playwright in a toolchain of its own."""

from __future__ import annotations

import atexit
import json
import select
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipelines.run.toolchain.toolchain import Environments
from tests.conftest import ROOT

CHROMIUM = shutil.which("chromium")
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
_TIMEOUT_S = 300
# Of the page's only filtered table: the cells of a column, of rows that are shown.
COLUMN = """[...document.querySelectorAll('[data-filtered] tbody tr')]
    .filter((row) => !row.hidden).map((row) => row.cells[{}].textContent)"""


def drive(page: Path, script: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Open the page and do each of `script`, see tests.browser_driver. Returns what each saw."""
    driver = _started()
    assert driver.stdin is not None
    assert driver.stdout is not None
    print(json.dumps({"page": str(page), "script": list(script)}), file=driver.stdin, flush=True)
    assert select.select([driver.stdout], [], [], _TIMEOUT_S)[0], "the browser says nothing"
    line = driver.stdout.readline()
    assert line, "the browser died"
    seen = json.loads(line)
    assert isinstance(seen, list), seen
    return seen


@cache
def _started() -> subprocess.Popen[str]:
    """One browser for all pages of this process, with which it ends: it starts for a second."""
    environments = Environments(ROOT)
    environments.make(["browser"])
    driver = Path(__file__).with_name("browser_driver.py")
    started = subprocess.Popen(
        [str(environments.python("browser")), "-s", str(driver), str(CHROMIUM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(_end, started)
    return started


def _end(started: subprocess.Popen[str]) -> None:
    assert started.stdin is not None
    started.stdin.close()
    started.wait()
