"""A fork server of an interpreter that had started before is the one that a new one becomes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.run.toolchain.toolchain import Environments
from tests import warm, warm_toolchains
from tests.conftest import ROOT
from tests.small_models import conv_net, recipe, samples
from tests.workspace import Workspace

pytestmark = pytest.mark.toolchain
PROBE = """
import sys
there = sorted({'onnx', 'onnxsim', 'quant.nearest'} & set(sys.modules))
import quant.nearest, quant.rknn.leaks
modules = (quant.nearest, quant.rknn.leaks)
print(there, quant.nearest.__file__, [hasattr(one, 'EDITED') for one in modules])
"""


def warm_python(name: str, tunables: str = "") -> Path:
    """Once its packages are imported."""
    warm_toolchains.start(name, tunables)
    return warm_toolchains.home() / Environments(ROOT).python(name).parts[-3] / "bin" / "python"


@pytest.mark.parametrize("edited", [None, "nearest.py", "rknn/leaks.py"])
def test_a_fork_has_the_code_of_the_folder_that_asked(tmp_path: Path, edited: str | None) -> None:
    """Imported already where no file that was imported differs from this checkout's."""
    for part in ("pipelines", "quant"):
        shutil.copytree(ROOT / part, tmp_path / part)
    if edited is not None:
        place = tmp_path / "quant" / edited
        place.write_text(place.read_text() + "EDITED = True\n")
    (tmp_path / "probe.py").write_text(PROBE)
    settings = json.dumps({"paths": [str(tmp_path)], "preload": ["probe"]})
    done = subprocess.run(
        [warm_python("core"), "-s", tmp_path / "pipelines" / "run" / "fork_server.py", settings],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    there = ["onnx", "onnxsim", *(["quant.nearest"] if edited != "nearest.py" else [])]
    found = [edited == "nearest.py", edited == "rknn/leaks.py"]
    assert done.stderr == f"{there} {tmp_path / 'quant' / 'nearest.py'} {found}\n"
    assert done.stdout == '{"event": "ready"}\n'


@pytest.mark.parametrize("tunables", ["", "glibc.malloc.tcache_count=0"])
def test_a_fork_has_what_glibc_reads_as_a_process_starts(tmp_path: Path, tunables: str) -> None:
    (tmp_path / "probe.py").write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        "began = [one for one in Path('/proc/self/environ').read_text().split('\\0')]\n"
        "began = [one for one in began if one.startswith('GLIBC_TUNABLES=')]\n"
        "print(began, os.environ.get('GLIBC_TUNABLES'), 'onnx' in sys.modules)\n"
    )
    settings = json.dumps({"paths": [str(tmp_path)], "preload": ["probe"]})
    told = {"GLIBC_TUNABLES": tunables} if tunables else {}
    done = subprocess.run(
        [warm_python("core", tunables), "-s", ROOT / "pipelines/run/fork_server.py", settings],
        env={**os.environ, **told},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    began = [f"GLIBC_TUNABLES={tunables}"] if tunables else []
    assert done.stderr == f"{began} {tunables or None} True\n"


def test_any_other_use_is_the_interpreters() -> None:
    told = subprocess.check_output([warm_python("core"), "-c", "print(__name__)"], text=True)
    assert told == "__main__\n"


@pytest.mark.parametrize("is_compiled", [True, False])
def test_a_fork_is_told_its_words_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_compiled: bool
) -> None:
    """By the launcher in C, and by the one for a machine without a compiler."""
    server = warm_python("core").parents[2] / "core"
    real = Environments(ROOT).python("core")
    if is_compiled and shutil.which("cc") is None:
        pytest.skip("no C compiler")
    if is_compiled:
        assert warm_toolchains._compiled()
    else:
        monkeypatch.setattr(warm_toolchains, "_compiled", lambda: None)
    warm_toolchains.write_launcher(tmp_path / "python", real, server)
    (tmp_path / "probe.py").write_text(
        "import os, sys\n"
        "print(sys.argv[1:], os.environ['ODD'], 'onnx' in sys.modules, file=sys.stderr)\n"
    )
    odd = "\"'\\ \n\r\t\x01\x7f {} ä 深 ="
    settings = json.dumps({"paths": [str(tmp_path)], "preload": ["probe"], "odd": odd})
    done = subprocess.run(
        [tmp_path / "python", "-s", ROOT / "pipelines/run/fork_server.py", settings],
        env={**os.environ, "ODD": odd},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert done.stderr.decode() == f"{[settings]} {odd} True\n"


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_worker_of_the_suite_uses_what_the_first_process_shares(is_elsewhere: bool) -> None:
    """It starts none of its own, and those that it asks for are there.

    In another namespace of mounts it would see other files, and starts its own.
    """
    code = (
        "from tests import warm, warm_toolchains as toolchains\n"
        "toolchains.start('report')\n"
        "print(toolchains.home(), warm.front_place(), [*toolchains._STARTED])"
    )
    home, front = warm_toolchains.home(), warm.front_place()
    warm_toolchains.start("report")
    space = "mnt:[1]" if is_elsewhere else str(Path("/proc/self/ns/mnt").readlink())
    shared = {warm_toolchains.SHARED: f"{space} {home}", warm.SHARED: f"{space} {front}"}
    command = [sys.executable, "-c", code]
    told = subprocess.check_output(command, text=True, cwd=ROOT, env={**os.environ, **shared})
    if is_elsewhere:
        assert str(home) not in told and str(front) not in told and "['report']" in told
    else:
        assert told == f"{home} {front} []\n"


def test_the_same_files(tmp_path: Path) -> None:
    """dvc.lock holds the MD5 of each."""
    for name in ("core", "rknn-2.5.0"):
        warm_python(name)
    locks = []
    for place, home in (("a", warm_toolchains.home()), ("b", warm_toolchains.MADE)):
        (tmp_path / place).mkdir()
        workspace = Workspace(tmp_path / place, home)
        workspace.add("net", recipe(), net__onnx=conv_net(), samples__npy=samples())
        assert workspace.doit().code == 0
        locks.append((workspace.root / "models/net/dvc.lock").read_text())
    assert locks[0] == locks[1]
