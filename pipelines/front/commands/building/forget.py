"""./doit forget NAME: drop what is recorded, so that the steps run again."""

from __future__ import annotations

import argparse

from pipelines.building import dry_run
from pipelines.files import console
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit.cli import UsageError, steps_named
from pipelines.front.doit.lock_backend import LockBackend


class Forget(OwnCommand):
    name = "forget"
    in_brief = "drop what is recorded, so that the steps run again"
    doc_purpose = "drop steps from dvc.lock and the cache, so that they run again"
    doc_usage = "[--all] [--ignored] [MODEL|MODEL@TARGET|STEP ...]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="MODEL|MODEL@TARGET|STEP")
        parser.add_argument("--all", action="store_true", help="every step")
        parser.add_argument(
            "--ignored", action="store_true", help="end what ./doit ignore began, forget no step"
        )

    def act(self, arguments: argparse.Namespace) -> int:
        if arguments.ignored:
            LockBackend(self.project).remove_all()
            return 0
        if not arguments.names and not arguments.all:
            raise UsageError("forget what?", "name a model or a step, or say --all")
        plan, builder = self.project.plan, self.project.builder
        chosen = steps_named(self.project, arguments.names)
        # What the next run would restore, before any of it is dropped.
        foreseen = dry_run.make(plan, builder, plan.with_dependencies(chosen)).steps
        for name in sorted(chosen):
            step = foreseen[name].step
            likely = None if foreseen[name].is_unknown else foreseen[name].status.entry
            found = [each for each in (builder.locks.entry(step), likely) if each is not None]
            for each in found:
                builder.store.forget(step, each)
            builder.locks.forget(step)
            if found:
                console.say(f"{name}  forgotten")
        return 0
