"""Tables fit into the terminal."""

from __future__ import annotations

from pipelines.files.console import table

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
