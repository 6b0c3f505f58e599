"""A suite of a few tests, run by a pytest of its own on workers, as `./doit test` runs this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

_OPTIONS = ("--dist", "loadgroup", "--no-loadscope-reorder", "-p", "no:cacheprovider")
# pytest-xdist alone: others take as long to import as all the rest.
_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}


def lay_out(folder: Path, conftest: str, tests: str) -> Path:
    """conftest, tests: the text of conftest.py and of test_it.py."""
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_it.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = toolchain\n")
    return folder


def run(folder: Path, workers: int, *options: str) -> str:
    """What pytest prints. Fails the test where one of the suite's fails."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    command = ["-m", "pytest", "-n", str(workers), *_OPTIONS, *options, str(folder)]
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**environment, **_PLUGINS, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
