"""The SDK fails in graph rules of its own on this network, and was made to leave them out.

Looks like: `left_out` in build.json; the row of `./doit` says so too. Seen on the attention block
and the box distances of YOLO11 and YOLO26 (2.5.0; 2.3.2 has no such fault).

Why: a rule raises an error of its own (`IndexError: list index out of range`). Rules make a network
smaller or faster, and none is needed for its result; the analysis holds what was built without.

Do: write the rules that it names into the recipe, for which the row prints the line
(`quantize: {rknn: {disable_rules: [...]}}`): quantize then no longer has to fail first. Look at the
cosines, as after any change.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.finding import Found, Report, counted

PLACE = 110


def find(report: Report) -> Iterator[Found]:
    rows = report.build.left_out
    if rows:
        told = "; ".join(f"`{row['rule']}` at {row['node']} ({row['error']})" for row in rows)
        yield Found(
            f"{counted(len(rows), 'rule')} of the SDK left out that fail here: {told}",
            0,
            {"rules": [row["rule"] for row in rows]},
        )
