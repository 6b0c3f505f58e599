"""Data into HTML, by jinja2 in a toolchain of its own: ./doit itself imports none of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.files import unfinished
from pipelines.files.engine import CODE
from pipelines.run.toolchain.toolchain import Environments

TOOLCHAIN = "report"


@dataclass(frozen=True)
class Page:
    """template: a name in assets/, without ending. data: what it reads. place: the file."""

    template: str
    data: Mapping[str, Any]
    place: Path


class RenderError(Exception):
    """A page can't be written; the message ends with what jinja2 said."""


def write(root: Path, pages: Sequence[Page]) -> None:
    """Write all of them, each whole or not at all. Raises RenderError, ToolchainError."""
    environments = Environments(root)
    environments.make([TOOLCHAIN])
    try:
        _write(environments.python(TOOLCHAIN), pages)
    except OSError as error:
        raise RenderError(f"{error.filename2 or error.filename}: {error.strerror}") from error


def _write(python: Path, pages: Sequence[Page]) -> None:
    parent = Path(os.path.commonpath([page.place.parent for page in pages]))
    with unfinished.folder_in(parent) as made:
        files = [made / f"{number}.html" for number in range(len(pages))]
        orders = [
            {**asdict(page), "place": str(file)} for page, file in zip(pages, files, strict=True)
        ]
        done = subprocess.run(
            [str(python), "-s", "-m", "pipelines.report.page.jobs.write_pages"],
            input=json.dumps(orders),
            cwd=CODE,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RenderError(done.stderr.strip()[-2000:])
        for page, file in zip(pages, files, strict=True):
            page.place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, page.place)
