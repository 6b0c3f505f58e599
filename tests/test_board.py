"""Boards as adb names them: which is ready, and what to do about one that is not."""

from __future__ import annotations

import pytest

from pipelines.backends.rknn.sdk.board import read_boards, require
from pipelines.run.jobs.refusal import Refusal

LISTED = """* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
0a1b2c3d\tdevice
192.168.1.7:5555\toffline
9f8e\tunauthorized
77\tno permissions (user is not in the plugdev group); see [https://developer.android.com]

"""
BOARDS = read_boards(LISTED)


def test_the_listing() -> None:
    assert list(BOARDS) == ["0a1b2c3d", "192.168.1.7:5555", "9f8e", "77"]
    assert read_boards("List of devices attached\n\n") == {}


def test_a_board_that_is_ready() -> None:
    require("0a1b2c3d", BOARDS)


@pytest.mark.parametrize(
    ("device", "what", "advice"),
    [
        ("other", "adb knows no board `other`; it knows: 0a1b2c3d, 192", "rknn_server"),
        ("192.168.1.7:5555", "is not ready: adb says `offline`", "adb reconnect"),
        ("9f8e", "is not ready: adb says `unauthorized`", "adbkey.pub"),
        ("77", "adb says `no permissions (user", "udev rule"),
    ],
)
def test_others_say_what_to_do(device: str, what: str, advice: str) -> None:
    with pytest.raises(Refusal) as refused:
        require(device, BOARDS)
    assert what in refused.value.what
    assert advice in refused.value.advice
