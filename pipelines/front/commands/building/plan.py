"""./doit plan: the steps, and the dvc.yaml files made anew from them."""

from __future__ import annotations

import argparse

from pipelines.building.dvc_files import write_all
from pipelines.files import console
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit.cli import steps_named


class ShowPlan(OwnCommand):
    name = "plan"
    in_brief = "the steps; writes every dvc.yaml anew"
    doc_purpose = "write every dvc.yaml anew and list the steps; runs nothing"
    doc_usage = "[MODEL|MODEL@TARGET|STEP ...]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="MODEL|MODEL@TARGET|STEP")

    def act(self, arguments: argparse.Namespace) -> int:
        chosen = steps_named(self.project, arguments.names)
        for path in write_all(
            self.project.root, self.project.plan, is_whole=not self.project.broken
        ):
            console.say(f"wrote {path}")
        for step in self.project.plan.steps.values():
            if step.name in chosen:
                needs = " ".join(earlier.name for earlier in self.project.plan.before(step))
                console.tell(f"{step.name:<32} {needs}".rstrip())
        return 0
