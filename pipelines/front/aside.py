"""Steps outside the plan: nothing is recorded, and their folder is the caller's to remove."""

from __future__ import annotations

from pipelines import console
from pipelines.project import CURRENT
from pipelines.step import Step
from pipelines.toolchain import Environments
from pipelines.worker import Failed, Result


def run_aside(step: Step) -> Result | None:
    """Make its toolchains and run it; None, and why is told, where it failed."""
    Environments(CURRENT.root).make(step.toolchains)
    try:
        return CURRENT.builder.worker.run(step, CURRENT.builder.log_of(step))
    except Failed as error:
        console.say(f"{step.name}: {error}", "red")
        return None
