"""./doit step NAME: run one step and nothing else; what DVC's stages call."""

from __future__ import annotations

import argparse

from pipelines import console
from pipelines.front.cli import UsageError
from pipelines.front.commands.command import OwnCommand
from pipelines.project import CURRENT
from pipelines.toolchain import Environments
from pipelines.where import did_you_mean
from pipelines.worker import Failed


class RunStep(OwnCommand):
    name = "step"
    doc_purpose = "bring one step up to date, without those it depends on"
    doc_usage = "STEP"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("step", metavar="STEP")

    def act(self, arguments: argparse.Namespace) -> int:
        steps = CURRENT.plan.steps
        if arguments.step not in steps:
            advice = did_you_mean(arguments.step, steps, "steps")
            raise UsageError(f"no step `{arguments.step}`\n  {advice}")
        step = steps[arguments.step]
        Environments(CURRENT.root).make(step.toolchains)
        try:
            outcome = CURRENT.builder.bring(step)
        except Failed as error:
            console.say(f"{step.name}: {error}", "red")
            return 1
        console.say(f"{step.name}  {outcome.value}")
        return 0
