"""What npumake takes from others and what was written here instead, with sizes, as two tables.

    .venv/bin/python -m benchmarks.kept

The rows are those of kept.yaml. Bytes of a package are those that pip installed, of itself without
what it needs; lines are those of its own .py files. Of code here, all lines of the files named,
comments included.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import yaml

from pipelines.run.toolchain.toolchain import Environments

ROOT = Path(__file__).resolve().parent.parent
OWN = ".venv"


def installed(folder: Path) -> dict[str, Distribution]:
    (site,) = folder.glob("lib/python3*/site-packages")
    found = distributions(path=[str(site)])
    return {one.metadata["Name"].lower().replace("_", "-"): one for one in found}


def package_size(one: Distribution) -> tuple[int, int]:
    """Lines of Python and bytes, of what its RECORD lists."""
    lines = size = 0
    for name, _, length in csv.reader((one.read_text("RECORD") or "").splitlines()):
        if not length:
            continue
        size += int(length)
        if name.endswith(".py"):
            lines += _lines(Path(str(one.locate_file(name))))
    return lines, size


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.is_file() else 0


def written_size(paths: Iterable[str], but: Sequence[str]) -> tuple[int, int]:
    """but: names of folders or files below them that do not count."""
    files = list(_files(paths, but))
    return sum(map(_lines, files)), sum(file.stat().st_size for file in files)


def _files(paths: Iterable[str], but: Sequence[str]) -> Iterator[Path]:
    for path in paths:
        place = ROOT / path
        if not place.exists():
            sys.exit(f"{path} is not here any more: correct benchmarks/kept.yaml")
        for file in [place] if place.is_file() else sorted(place.rglob("*")):
            if file.is_file() and not {"__pycache__", *but} & {*file.parts}:
                yield file


def kept_row(row: Mapping[str, Any]) -> str:
    own = row["toolchain"] == OWN
    folder = ROOT / OWN if own else Environments(ROOT).python(row["toolchain"]).parents[1]
    held = installed(folder)
    named = ", ".join(f"{name} {held[name].version}" for name in row["packages"])
    lines, size = map(
        sum, zip(*(package_size(held[name]) for name in row["packages"]), strict=True)
    )
    where = "" if own else f" (toolchain `{row['toolchain']}`)"
    return f"| {row['for']} | {named}{where} | {lines:,} | {size / 1e6:.1f} | {row['why']} |"


def written_row(row: Mapping[str, Any]) -> str:
    lines, size = written_size(row["paths"], row.get("but", ()))
    paths = ", ".join(f"`{path}`" for path in row["paths"])
    told = f"{row['for']}: {paths}"
    return f"| {told} | {row['instead of']} | {lines:,} | {size / 1e3:.0f} | {row['why']} |"


def main() -> None:
    told = yaml.safe_load(Path(__file__).with_name("kept.yaml").read_text())
    print("| for | kept | lines of Python | MB | why |\n|---|---|--:|--:|---|")
    for row in told["kept"]:
        print(kept_row(row))
    print("\n| for, where | instead of | lines | KB | why |\n|---|---|--:|--:|---|")
    for row in told["written"]:
        print(written_row(row))


if __name__ == "__main__":
    main()
