"""./doit toolchains: list, make and remake the pinned environments."""

from __future__ import annotations

import argparse

from pipelines.files import console
from pipelines.front.commands.command import OwnCommand
from pipelines.run.toolchain.toolchain import Environments, forget_own, known, load, own_changes


class Toolchains(OwnCommand):
    name = "toolchains"
    in_brief = "list or make the pinned environments"
    doc_purpose = "list the toolchains; with names, make them"
    doc_usage = "[--check] [--remake] [--prune] [NAME ...]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME")
        parser.add_argument("--all", action="store_true", help="make every toolchain")
        parser.add_argument(
            "--check", action="store_true", help="read every installed file; remake what changed"
        )
        parser.add_argument("--remake", action="store_true", help="throw away and make again")
        parser.add_argument(
            "--prune", action="store_true", help="remove those whose pins no checkout has any more"
        )

    def act(self, arguments: argparse.Namespace) -> int:
        environments = Environments(self.project.root)
        if arguments.prune:
            return self._prune(environments)
        names = known(self.project.root) if arguments.all else arguments.names
        if arguments.check:
            return self._check(environments, names)
        if arguments.remake:
            for name in names:
                environments.remove(name)
        environments.make(names)
        if not names:
            self._list(environments)
        return 0

    def _prune(self, environments: Environments) -> int:
        for name in (removed := environments.prune()):
            console.tell(f"removed {name}: no checkout has its pins")
        if not removed:
            console.tell("nothing to remove: every environment is of a checkout's present pins")
        return 0

    def _check(self, environments: Environments, names: list[str]) -> int:
        """Hold every installed file against its wheel's record. 1 where one was changed."""
        missing = {toolchain.name for toolchain in environments.missing(known(self.project.root))}
        made = [name for name in names or known(self.project.root) if name not in missing]
        changed = environments.check(made, wholly=True)
        for name in made:
            if name not in changed:
                console.tell(f"{name}: every file is as its wheel's record says")
        environments.make(changed)
        own = own_changes()
        for change in own[:3]:
            console.say(f".venv: {change}", "yellow")
        if own:
            console.say(".venv is made again by the next ./doit", "yellow")
            forget_own()
        else:
            console.tell(".venv: every file is as its wheel's record says")
        return 1 if changed or own else 0

    def _list(self, environments: Environments) -> None:
        names = known(self.project.root)
        missing = {toolchain.name for toolchain in environments.missing(names)}
        rows = [["toolchain", "download", "disk", ""]]
        for name in names:
            toolchain = load(self.project.root, name)
            state = "not made yet" if name in missing else "made"
            rows.append([name, toolchain.download, toolchain.disk, state])
        for line in console.table(rows, right=(1, 2)):
            console.tell(line)
