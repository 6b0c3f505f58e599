"""A shell variable that is not set makes an empty word."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.building.project import Project
from pipelines.front.doit.cli import USAGE, main
from tests.conftest import ROOT


def test_an_empty_word_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path.cwd())  # main goes where the project is
    assert main(Project(ROOT), ["quantize", "--output", ""]) == USAGE
    assert "an empty word after --output" in capsys.readouterr().err
