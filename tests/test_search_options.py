"""Which of the SDK's options the doctor tries on which platform."""

from __future__ import annotations

import pytest

from pipelines.doctor.search import options_for


@pytest.mark.parametrize(
    ("platform", "left_out", "names"),
    [
        ("rk3588", (), ["single_core_mode", "single_core_mode + compress_weight"]),
        ("rk3588s", ("compress_weight",), ["single_core_mode"]),
        ("rk3576", ("single_core_mode",), ["compress_weight"]),
        ("rk3566", (), ["compress_weight"]),
    ],
)
def test_single_core_mode_is_tried_where_there_are_several_cores(
    platform: str, left_out: tuple[str, ...], names: list[str]
) -> None:
    assert [remedy.name for remedy in options_for(platform, left_out)] == names
