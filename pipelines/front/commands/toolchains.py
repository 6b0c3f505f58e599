"""./doit toolchains: list, make and remake the pinned environments."""

from __future__ import annotations

import argparse

from pipelines import console
from pipelines.front.commands.command import OwnCommand
from pipelines.project import CURRENT
from pipelines.toolchain import Environments, known, load


class Toolchains(OwnCommand):
    name = "toolchains"
    doc_purpose = "list the toolchains; with names, make them"
    doc_usage = "[--remake] [NAME ...]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME")
        parser.add_argument("--all", action="store_true", help="make every toolchain")
        parser.add_argument("--remake", action="store_true", help="throw away and make again")

    def act(self, arguments: argparse.Namespace) -> int:
        environments = Environments(CURRENT.root)
        names = known(CURRENT.root) if arguments.all else arguments.names
        if arguments.remake:
            for name in names:
                environments.remove(name)
        environments.make(names)
        if not names:
            self._list(environments)
        return 0

    def _list(self, environments: Environments) -> None:
        names = known(CURRENT.root)
        missing = {toolchain.name for toolchain in environments.missing(names)}
        rows = [["toolchain", "download", "disk", ""]]
        for name in names:
            toolchain = load(CURRENT.root, name)
            state = "not made yet" if name in missing else "made"
            rows.append([name, toolchain.download, toolchain.disk, state])
        for line in console.table(rows, right=(1, 2)):
            console.tell(line)
