"""List files such as dataset.txt: one sample a line, one file an input.

Standard library only: the plan reads lists too, to know which files a step depends on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quant.fault import Fault
from quant.nearest import nearest

# Files of a line stand between spaces or tabs; one with spaces in its name in double quotes.
_FILE = r'(?:"[^"]+"|[^\s"]+)'
_LINE = re.compile(rf"{_FILE}(?:\s+{_FILE})*")
_MOST_SHOWN = 5


@dataclass(frozen=True)
class ListLine:
    """One line: its number (from 1), its files as they are written, and where they are."""

    line: int
    names: tuple[str, ...]
    paths: tuple[Path, ...]


def list_entries(list_file: Path) -> list[tuple[Path, ...]]:
    """The files of each line, see `read_list`: what a step that reads the list depends on."""
    return [entry.paths for entry in read_list(list_file)]


def read_list(list_file: Path, name: str = "") -> list[ListLine]:
    """The samples that a list file names, in its order.

    Blank lines and lines that start with `#` are passed over; line ends may be Windows's.
    Relative paths start at the folder of the real file, not of a link to it. name: what messages
    call the list. Raises Fault on a list that can't be read or is empty, on a line that can't be
    split, on missing files (with the line and the nearest name) and on lines of unequal length.
    """
    name = name or list_file.name
    folder = Path(os.path.realpath(list_file)).parent
    entries = [
        ListLine(number, files, tuple(folder / file for file in files))
        for number, line in _lines(list_file, name)
        for files in [_split(line, f"{name}:{number}", folder)]
    ]
    if not entries:
        raise Fault(f"{name} names no files", "write one sample a line")
    _require_equal_length(entries, name)
    _require_files(entries, name)
    return entries


def _lines(list_file: Path, name: str) -> list[tuple[int, str]]:
    """The lines that name files, with their numbers."""
    try:
        text = list_file.read_text(encoding="utf-8-sig")  # some editors put a mark in front
    except OSError as error:
        raise Fault(f"{name}: {error.strerror}", "name a text file that exists") from error
    except UnicodeDecodeError as error:
        raise Fault(f"{name} is not UTF-8 text", "save it as UTF-8") from error
    stripped = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    return [(number, line) for number, line in stripped if line and not line.startswith("#")]


def _split(line: str, where: str, folder: Path) -> tuple[str, ...]:
    if not _LINE.fullmatch(line):
        raise Fault(
            f"{where}: `{line}` can't be split into files",
            "put both double quotes around a name with spaces, and a space between files",
        )
    files = tuple(file.strip('"') for file in re.findall(_FILE, line))
    if len(files) > 1 and (folder / line).is_file():
        raise Fault(
            f"{where}: `{line}` would be {len(files)} files",
            f'a name with spaces stands in double quotes: "{line}"',
        )
    return files


def _require_equal_length(entries: Sequence[ListLine], name: str) -> None:
    first = entries[0]
    for entry in entries:
        if len(entry.names) != len(first.names):
            raise Fault(
                f"{name}:{entry.line} names {len(entry.names)} files, line {first.line} "
                f"names {len(first.names)}",
                "every line needs one file for each input of the network",
            )


def _require_files(entries: Sequence[ListLine], name: str) -> None:
    missing = [
        (f"{name}:{entry.line}", file, path)
        for entry in entries
        for file, path in zip(entry.names, entry.paths, strict=True)
        if not path.is_file()
    ]
    if missing:
        said = [f"{where}: no file `{file}`" for where, file, _ in missing[:_MOST_SHOWN]]
        if len(missing) > _MOST_SHOWN:
            said.append(f"and {len(missing) - _MOST_SHOWN} more")
        _, file, path = missing[0]
        raise Fault("; ".join(said), _advice(file, path))


def _advice(file: str, path: Path) -> str:
    """What to do about a file that isn't there."""
    if path.is_dir():
        return f"`{file}` is a folder; name its files, or the folder with `images:`"
    if "\\" in file and (path.parent / file.replace("\\", "/")).is_file():
        return f"write / between folder and file: `{file.replace(chr(92), '/')}`"
    if not path.parent.is_dir():
        return "its folder does not exist; paths start at the list's own folder"
    near = nearest(path.name, sorted(entry.name for entry in path.parent.iterdir()))
    if near:
        return f"did you mean `{file[: len(file) - len(path.name)]}{near}`?"
    return "paths start at the list's own folder"
