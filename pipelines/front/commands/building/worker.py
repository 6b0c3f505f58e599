"""./doit worker ADDRESS: this checkout runs steps that another hands out."""

from __future__ import annotations

import argparse
import os

from pipelines.dvc.repo import has_remote
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit.cli import UsageError, jobs_at_once


class Work(OwnCommand):
    name = "worker"
    in_brief = "run steps for ./doit --cluster of another machine"
    doc_purpose = "run steps for ./doit --cluster on other machines"
    doc_usage = "ADDRESS | --scheduler"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("address", nargs="?", metavar="ADDRESS", help="of a scheduler")
        parser.add_argument("-n", type=int, default=jobs_at_once(), help="steps at once")
        parser.add_argument("--host", help="this machine's address for the others")
        parser.add_argument("--name", help="what messages call it (its host's name and process)")
        parser.add_argument(
            "--once", action="store_true", help="end with the scheduler; else wait for its next"
        )
        parser.add_argument(
            "--remote",
            action="store_true",
            help="look for what steps read in this checkout's default DVC remote first",
        )
        parser.add_argument(
            "--scheduler", action="store_true", help="be the scheduler, which runs no step"
        )
        parser.add_argument("--forks", type=int, default=1, help=argparse.SUPPRESS)
        parser.add_argument("--port", type=int, default=8786, help="of the scheduler")

    def act(self, arguments: argparse.Namespace) -> int:
        # With asyncio, which takes long to import.
        from pipelines.building.cluster import forks, service

        root = self.project.root
        if arguments.scheduler == bool(arguments.address):
            raise UsageError("no scheduler to work for", "./doit worker ADDRESS, or --scheduler")
        if arguments.n < 1:
            raise UsageError(f"-n {arguments.n} runs no step", "give how many run at once")
        if arguments.scheduler:
            service.schedule(root, arguments.host or "", arguments.port)
            return 0
        if arguments.remote and not has_remote(root):
            advice = "dvc remote add -d NAME URL, or leave out --remote"
            raise UsageError("DVC's configuration of this checkout names no remote", advice)
        if arguments.forks > 1:
            forks.become(arguments.forks, root)
        name = arguments.name or f"{os.uname().nodename}-{os.getpid()}"
        service.serve(
            root,
            arguments.address,
            arguments.n,
            arguments.host,
            name,
            is_once=arguments.once,
            fetches=arguments.remote,
        )
        return 0
