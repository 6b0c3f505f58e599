"""`python -m benchmarks.operators_page` writes docs/operators.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.backends.rknn.measured import operators
from pipelines.backends.rknn.measured.operators import NPU, Row
from pipelines.backends.rknn.recipe import vendor
from pipelines.files.engine import CODE
from pipelines.files.markdown import table

FILE = CODE / "docs" / "operators.md"
NAMES = {"w8a8": "int8", "float16": "float16", "w16a16i_dfp": "int16"}
LARGE = 0.03  # of an output's range, in int8; Conv alone has 0.007 to 0.010
HEAD = """\
# Operators

Where rknn-toolkit2 puts each operator, by platform, type and version, measured by building it
(2026-11-29): x [1, 8, 16, 16] → Conv 3x3 to 32 channels → the case → Conv 1x1 where four axes are
left. `benchmarks/operator_cases.py` has every case. A larger tensor or another attribute may go
elsewhere. Not measured: what is not in the tables, rk2118 in int8 and int16, and rv1103b and
rv1106b in int16, where the SDK's process ends at a convolution. Nothing was run on a board: places
and cycles are the compiler's, errors the simulator's.

    .venv/bin/python -m benchmarks.operators --folder FOLDER --write

measures (about 0.1 s of CPU a build; it goes on where it was stopped), writes every row with
error, cycles, bytes and the compiler's names to `pipelines/backends/rknn/measured/operators.csv`,
and this page of it. `./doit doctor`, the reports and `./doit new` read the same table.

NPU, CPU, NPU+CPU: where the case's own layers run. float: an int8 or int16 build computes some of
them in float16. `=`: as rk3588, or the first column. refused: load or build fails; what the SDK
says, where it says anything, is in the CSV.
"""


def text() -> str:
    parts = [HEAD, *(_kind(version, dtype) for version, dtype in _kinds())]
    return "\n".join((*parts, _versions(), _errors(), _measured()))


def _kinds() -> Iterator[tuple[str, str]]:
    """Of the newest version, each type that was measured."""
    known = {(row.version, row.dtype) for row in operators.rows()}
    newest = vendor.VERSIONS[0]
    yield from ((newest, dtype) for dtype in NAMES if (newest, dtype) in known)


def _kind(version: str, dtype: str) -> str:
    """A table of what is not on the NPU everywhere, and a list of what is."""
    cases = _cases(version, dtype)
    platforms = [p for p in vendor.PLATFORMS if any(p in held for held in cases.values())]
    platforms.sort(key=lambda name: (name != "rk3588", name))
    everywhere = [
        name for name, held in cases.items() if {row.place for row in held.values()} == {NPU}
    ]
    rows = [
        (name, *_cells([held.get(platform) for platform in platforms]))
        for name, held in cases.items()
        if name not in everywhere
    ]
    return "\n".join(
        (
            f"## {NAMES[dtype]}, {version}\n",
            table(("case", *platforms), rows),
            f"On the NPU of each of these platforms: {', '.join(everywhere)}.\n",
        )
    )


def _cases(version: str, dtype: str) -> dict[str, dict[str, Row]]:
    """Case -> platform -> row."""
    found: dict[str, dict[str, Row]] = {}
    for row in operators.rows():
        if (row.version, row.dtype) == (version, dtype):
            found.setdefault(row.case, {})[row.platform] = row
    return found


def _cells(held: Sequence[Row | None]) -> Iterator[str]:
    first, *others = held
    yield first.place if first else ""
    for row in others:
        is_same = row and first and row.place == first.place
        yield "=" if is_same else row.place if row else ""


def _versions() -> str:
    """Rows whose place is another in another version."""
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in operators.rows():
        found.setdefault((row.case, row.dtype, row.platform), {})[row.version] = row.place
    grouped: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    compared = 0
    for (case, dtype, platform), places in found.items():
        compared += len(places) > 1
        if len(set(places.values())) > 1:
            told = tuple(places.get(version, "") for version in vendor.VERSIONS)
            grouped.setdefault((case, dtype, told), []).append(platform)
    rows = [
        (case, NAMES[dtype], ", ".join(platforms), *places)
        for (case, dtype, places), platforms in grouped.items()
    ]
    differ = sum(map(len, grouped.values()))
    head = (
        f"## By version\n\nOf {compared:,} cases of a type and platform that several versions were "
        f"measured with, {differ:,} differ:\n"
    )
    return "\n".join((head, table(("case", "type", "platforms", *vendor.VERSIONS), rows)))


def _measured() -> str:
    """What was built; the rest of the matrix was not."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in operators.rows():
        found.setdefault((row.version, row.dtype), []).append(row.platform)
    rows = [
        (version, NAMES[dtype], ", ".join(sorted(set(held))), f"{len(held):,}")
        for (version, dtype), held in found.items()
    ]
    named = table(("version", "type", "platforms", "builds"), rows)
    return (
        f"## What was measured\n\nThe script goes on with the rest where it was stopped.\n\n{named}"
    )


def _errors() -> str:
    """Cases whose int8 output is far from float."""
    rows = []
    for name, held in _cases(vendor.VERSIONS[0], "w8a8").items():
        errors = {row.platform: float(row.error) for row in held.values() if row.error}
        if errors and max(errors.values()) > LARGE:
            low, high = min(errors.values()), max(errors.values())
            told = f"{high:.1%}" if low == high else f"{low:.1%} to {high:.1%}"
            rows.append((name, told))
    return "\n".join(
        (
            "## Error\n\nLargest difference from onnxruntime's float output, as a share of its "
            f"range, int8, {vendor.VERSIONS[0]}, where it is\nabove {LARGE:.0%}. Steps (Floor, "
            "Sign, comparisons, ArgMax) turn a difference of one code into a whole one:\n",
            table(("case", "error"), rows),
        )
    )


def main() -> None:
    FILE.write_text(text(), encoding="utf-8")
    print(f"wrote {Path('docs', FILE.name)}")


if __name__ == "__main__":
    main()
