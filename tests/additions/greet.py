"""./doit greet: says how many models there are."""

from __future__ import annotations

import argparse

from pipelines.files import console
from pipelines.front.commands.command import OwnCommand


class Greet(OwnCommand):
    name = "greet"
    in_brief = "say how many models there are"
    doc_purpose = "say how many models there are; runs nothing"

    def act(self, arguments: argparse.Namespace) -> int:
        console.tell(f"hello, {len(self.project.recipes)} models")
        return 0
