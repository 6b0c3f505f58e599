"""A shell variable that is not set makes an empty word."""

from __future__ import annotations

import pytest

from pipelines.front.doit.cli import USAGE, main


def test_an_empty_word_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", "--output", ""]) == USAGE
    assert "an empty word after --output" in capsys.readouterr().err
