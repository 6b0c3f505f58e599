"""Fixtures that several test files share."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from functools import cache
from pathlib import Path

import pytest

from pipelines.run import machine
from pipelines.run.toolchain import pip_config
from pipelines.run.toolchain.toolchain import Environments
from tests import durations, sharing

FAKE = "fake: {download: 0 MB, disk: 0 MB, preload: [], path: [jobs]}\n"
ROOT = Path(__file__).resolve().parent.parent


def real_models() -> Path:
    return Path(os.environ.get("NPUMAKE_REALWORLD", ROOT.parent / "shared" / "realworld"))


@pytest.fixture(scope="session")
def realworld() -> Path:
    """Folder of real models that are not part of the project; skips where it is absent."""
    folder = real_models()
    if not folder.is_dir():
        pytest.skip("no folder of real models (NPUMAKE_REALWORLD)")
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    durations.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    """A suite in the background of a script ignores SIGINT, and so would all that tests start.

    On several workers, interpreters that have started already are this process's, for all of them.
    NumPy has one thread and the kernels of a job: a second one waits more than it computes.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is imported
    if kernels := machine.blas_kernels():
        os.environ.setdefault("OPENBLAS_CORETYPE", kernels)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    durations.configure(config)
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        from tests import compiled, warm, warm_toolchains  # which import this file

        compiled.compile_all()
        warm.share()
        warm_toolchains.share()


class Pythons(dict[str, Path]):
    """Toolchain -> its interpreter, made when first asked for."""

    def __init__(self, config: pytest.Config) -> None:
        self._capture = config.pluginmanager.getplugin("capturemanager")

    def __missing__(self, name: str) -> Path:
        environments = Environments(ROOT)
        with self._capture.global_and_fixture_disabled():  # it says what it downloads
            environments.make([name])
        self[name] = environments.python(name)
        return self[name]


@pytest.fixture(scope="session")
def toolchain_python(pytestconfig: pytest.Config) -> Pythons:
    """`./doit test` makes them all first."""
    return Pythons(pytestconfig)


def lay_out(root: Path) -> Path:
    """A project with a toolchain `fake` (no packages) whose jobs are in its `jobs/`."""
    (root / "toolchains").mkdir(parents=True)
    (root / "toolchains" / "fake.txt").write_text("")
    (root / "toolchains" / "toolchains.yaml").write_text(FAKE)
    (root / "jobs").mkdir()
    (root / "models" / "m").mkdir(parents=True)
    return root


@pytest.fixture(scope="session")
def fake_toolchain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `fake` is made, once a session: it takes a second."""
    root = lay_out(tmp_path_factory.mktemp("fake") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.run.toolchain.toolchain.read", read_once)
        Environments(root).make(["fake"])
    return root / ".npumake" / "toolchains"


@cache
def _pip(python: str, given: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """What pip_config.read tells. given: pip's variables, by which it differs."""
    return pip_config.read(python)


def read_once(python: str) -> dict[str, str]:
    """pip_config.read, which takes 0.4 s."""
    given = (one for one in os.environ.items() if one[0].startswith(("PIP_", "XDG_", "HOME")))
    return dict(_pip(python, tuple(sorted(given))))


@pytest.fixture
def pip_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Toolchains that this test makes ask pip for its configuration no second time."""
    monkeypatch.setattr("pipelines.run.toolchain.toolchain.read", read_once)


@pytest.fixture
def project(tmp_path: Path, fake_toolchain: Path) -> Path:
    """A project as `lay_out` makes it, whose toolchain is made."""
    shutil.copytree(fake_toolchain, tmp_path / ".npumake" / "toolchains", symlinks=True)
    return lay_out(tmp_path)


def pytest_collection_finish() -> None:
    """The tests stay to the end: nothing of them is looked at by the garbage collector again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For tests on several workers: what shares something slow stays together, the slow first.

    The short are last, so that no worker is left with many while another has none.
    """
    seconds = durations.known()
    groups = {item.nodeid: sharing.group(item, seconds.keys()) for item in items}
    for item in items:
        if (group := groups[item.nodeid]) is not None and not item.get_closest_marker(
            "xdist_group"
        ):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(
        key=lambda item: (
            -seconds.get(groups[item.nodeid] or item.nodeid, 0.0),
            item.get_closest_marker("toolchain") is None,
            sharing.is_short(groups[item.nodeid]),
        )
    )
