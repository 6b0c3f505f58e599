"""A page of its own, where the user names its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.building.project import Project
from pipelines.files import console
from pipelines.front.doit import overview
from pipelines.front.doit.cli import STARTED_IN, UsageError
from pipelines.report.page import render
from pipelines.report.page.render import Page, RenderError


def write(project: Project, template: str, data: Mapping[str, Any], file: str) -> None:
    """Write it, with what made it in it, and tell where. Raises UsageError."""
    place = Path(STARTED_IN, file)
    made_by = ", ".join(overview.version_lines())
    write_all(project, [Page(template, {**data, "made_by": made_by}, place)])
    console.say(f"wrote {place}")


def write_all(project: Project, pages: Sequence[Page]) -> None:
    """All of them, each whole or not at all. Raises UsageError."""
    try:
        render.write(project.root, pages)
    except RenderError as error:
        noun = "page" if len(pages) == 1 else "pages"
        raise UsageError(f"the {noun} can't be written", str(error)) from error
