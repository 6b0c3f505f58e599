"""./doit inspect FILE.rknn: what an .rknn tells by itself, without recipe or SDK."""

from __future__ import annotations

import argparse

from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit.cli import STARTED_IN
from pipelines.report import inspecting


class Inspect(OwnCommand):
    name = "inspect"
    in_brief = "what .rknn files hold"
    doc_purpose = "tell what an .rknn file holds, without recipe or SDK; several side by side"
    doc_usage = "FILE.rknn [MORE ...]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE.rknn")
        parser.add_argument("--json", action="store_true", help="as JSON, for programs")

    def act(self, arguments: argparse.Namespace) -> int:
        paths = [STARTED_IN / file for file in arguments.files]
        return inspecting.inspect(paths, arguments.json)
