"""A real browser, offline: Debian's chromium, driven by Playwright in a toolchain of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.run.toolchain.toolchain import Environments
from tests.conftest import ROOT

CHROMIUM = shutil.which("chromium")
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
# Of the page's only filtered table: the cells of a column, of rows that are shown.
COLUMN = """[...document.querySelectorAll('[data-filtered] tbody tr')]
    .filter((row) => !row.hidden).map((row) => row.cells[{}].textContent)"""


def drive(page: Path, script: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Open the page and do each of `script`, see tests.browser_driver. Returns what each saw."""
    environments = Environments(ROOT)
    environments.make(["browser"])
    driver = Path(__file__).with_name("browser_driver.py")
    done = subprocess.run(
        [str(environments.python("browser")), "-s", str(driver), str(CHROMIUM), str(page)],
        input=json.dumps(list(script)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return list(json.loads(done.stdout))
