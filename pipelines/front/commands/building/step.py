"""./doit step NAME: run one step and nothing else; what DVC's stages call."""

from __future__ import annotations

import argparse

from pipelines.building.dvc_files import is_current
from pipelines.building.project import Project
from pipelines.dvc.repo import is_inside_dvc
from pipelines.files import console
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit import runtime_parts
from pipelines.front.doit.cli import UsageError, unknown
from pipelines.record.step import Step
from pipelines.run.toolchain.toolchain import Environments
from pipelines.run.worker import Failed


class RunStep(OwnCommand):
    name = "step"
    in_brief = "one step alone; what `dvc repro` calls"
    doc_purpose = "bring one step up to date, without those it depends on"
    doc_usage = "STEP"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("step", metavar="STEP")

    def act(self, arguments: argparse.Namespace) -> int:
        steps = self.project.plan.steps
        if arguments.step not in steps:
            raise unknown("step", arguments.step, steps, "steps")
        step = steps[arguments.step]
        if not is_current(self.project.root, self.project.plan, step):
            raise UsageError(
                f"{step.folder}/dvc.yaml is not the one that its recipe makes",
                "run: ./doit plan (it writes every dvc.yaml anew)",
            )
        Environments(self.project.root).make(step.toolchains)
        runtime_parts.fetch(self.project.root, [step])
        try:
            console.say(f"{step.name}  {_bring(self.project, step)}")
        except Failed as error:
            console.say(f"{step.name}: {error}", "red")
            return 1
        return 0


def _bring(project: Project, step: Step) -> str:
    if is_inside_dvc():
        project.builder.bring_for_dvc(step)
        return "ran"
    return project.builder.ensure(step).value
