"""Data into HTML, by jinja2 in a toolchain of its own: ./doit itself imports none of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
    orders = [{**asdict(page), "place": str(page.place)} for page in pages]
    done = subprocess.run(
        [str(environments.python(TOOLCHAIN)), "-s", "-m", "pipelines.report.page.jobs.write_pages"],
        input=json.dumps(orders),
        cwd=CODE,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RenderError(done.stderr.strip()[-2000:])
