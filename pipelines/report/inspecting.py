"""./doit inspect before doit and all recipes are loaded, which takes longer than the rest."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.backends.rknn.file import inspection
from pipelines.files import console
from pipelines.report import inspection_text
from quant.fault import Fault

WRONG = 3  # exit code for files that can't be read, as for a recipe that can't


def main(arguments: Sequence[str]) -> int | None:
    """The exit code; None for a command line with anything but files and --json in it."""
    files = [word for word in arguments if word != "--json"]
    if not files or any(word.startswith("-") or not word for word in files):
        return None
    gc.disable()  # the process ends with its answer, and cycles are few
    try:
        return inspect([Path(word) for word in files], is_json="--json" in arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141


def inspect(paths: Sequence[Path], is_json: bool) -> int:
    """Tell of each file, or of several side by side. What can't be read is told and left out."""
    found: list[tuple[str, dict[str, Any]]] = []
    for path in paths:
        try:
            found.append((str(path), inspection.inspect(path)))
        except Fault as fault:
            console.say(f"{path}: {fault}", "red")
        except OSError as error:
            console.say(f"{path}: {error.strerror}", "red")
    all_told = [told for _, told in found]
    if is_json and found:
        console.tell(json.dumps(all_told[0] if len(paths) == 1 else all_told, indent=1))
    elif found:
        names = [name for name, _ in found]
        one = inspection_text.lines(all_told[0], names[0])
        for line in one if len(paths) == 1 else inspection_text.beside(all_told, names):
            console.tell(line)
    return 0 if len(found) == len(paths) else WRONG
