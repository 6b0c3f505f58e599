"""A fork server of an interpreter that had started before is the one that a new one becomes."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from pipelines.run.toolchain.toolchain import Environments
from tests import warm_toolchains
from tests.conftest import ROOT
from tests.small_models import conv_net, recipe, samples
from tests.workspace import Workspace

pytestmark = pytest.mark.toolchain
PROBE = "import sys; print(sorted({'onnx', 'onnxsim', 'pipelines'} & set(sys.modules)))"


def warm_python(name: str) -> Path:
    """Once its packages are imported."""
    home = warm_toolchains.home()
    end = time.monotonic() + 120
    while not (home / name).exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    return home / Environments(ROOT).python(name).parts[-3] / "bin" / "python"


def test_packages_are_there_and_nothing_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    settings = json.dumps({"paths": [str(tmp_path)], "preload": ["probe"]})
    done = subprocess.run(
        [warm_python("core"), "-s", ROOT / "pipelines" / "run" / "fork_server.py", settings],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "['onnx', 'onnxsim']\n"
    assert done.stdout == '{"event": "ready"}\n'


def test_any_other_use_is_the_interpreters() -> None:
    told = subprocess.check_output([warm_python("core"), "-c", "print(__name__)"], text=True)
    assert told == "__main__\n"


def test_the_same_files(tmp_path: Path) -> None:
    """dvc.lock holds the MD5 of each."""
    for name in warm_toolchains.WARM:
        warm_python(name)
    locks = []
    for place, home in (("a", warm_toolchains.home()), ("b", warm_toolchains.MADE)):
        (tmp_path / place).mkdir()
        workspace = Workspace(tmp_path / place, home)
        workspace.add("net", recipe(), net__onnx=conv_net(), samples__npy=samples())
        assert workspace.doit().code == 0
        locks.append((workspace.root / "models/net/dvc.lock").read_text())
    assert locks[0] == locks[1]
