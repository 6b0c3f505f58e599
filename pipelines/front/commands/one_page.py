"""A page of its own, where the user names its file."""

from __future__ import annotations

from collections.abc import Mapping
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
    try:
        render.write(project.root, [Page(template, {**data, "made_by": made_by}, place)])
    except RenderError as error:
        raise UsageError("the page can't be written", str(error)) from error
    console.say(f"wrote {place}")
