"""Tables fit into the terminal; bytes for people."""

from __future__ import annotations

import pytest

from pipelines.files.console import quantity, table

ROWS = [
    ("name", "steps", "bytes"),
    ("short", "5/0/0", "1.0 KB"),
    ("a_name_that_is_far_longer", "0/0/5", "40.2 MB"),
]


def test_a_long_name_gets_a_line_of_its_own() -> None:
    assert table(ROWS, right=(1, 2), most=22) == [
        "name  steps   bytes",
        "short 5/0/0  1.0 KB",
        "a_name_that_is_far_longer",
        "      0/0/5 40.2 MB",
    ]


def test_where_there_is_room_every_row_is_a_line() -> None:
    wide = table(ROWS, right=(1, 2))
    assert len(wide) == 3
    assert table(ROWS, right=(1, 2), most=max(map(len, wide))) == wide


@pytest.mark.parametrize(
    ("size_bytes", "told"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (99_949, "99.9 KB"), (99_950, "100 KB"),
        (999_499, "999 KB"), (999_500, "1.0 MB"), (40_200_000, "40.2 MB"),
        (999_499_999, "999 MB"), (999_500_000, "1.0 GB"), (5_000_000_000_000, "5000 GB"),
    ],
)  # fmt: skip
def test_bytes_for_people(size_bytes: int, told: str) -> None:
    assert quantity(size_bytes) == told
