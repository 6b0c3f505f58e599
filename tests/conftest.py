"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.toolchain import Environments, ToolchainError, known

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


@pytest.fixture(scope="session")
def toolchain_python() -> dict[str, Path]:
    """Toolchain -> its interpreter. `./doit test` makes them all first."""
    environments = Environments(ROOT)
    try:
        return {name: environments.python(name) for name in known(ROOT)}
    except ToolchainError as error:
        pytest.fail(f"{error}\n  ./doit test makes the toolchains before it runs pytest")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a toolchain `fake` (no packages) whose jobs are in its `jobs/`."""
    (tmp_path / "toolchains").mkdir()
    (tmp_path / "toolchains" / "fake.txt").write_text("")
    (tmp_path / "toolchains" / "toolchains.yaml").write_text(FAKE)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "models" / "m").mkdir(parents=True)
    return tmp_path
