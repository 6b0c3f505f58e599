"""Base of our own commands: argparse, so options stand before or after names."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, NoReturn

from doit.cmd_base import Command

from pipelines.building.project import Project
from pipelines.files.engine import PROJECT
from pipelines.front.doit import words
from pipelines.front.doit.cli import UsageError, guarded


class Parser(argparse.ArgumentParser):
    """argparse whose errors name the nearest option."""

    def error(self, message: str) -> NoReturn:
        advice = f"see ./doit help {self.prog.split()[-1]}"
        if message.startswith("unrecognized arguments: "):
            word = message.split()[2].partition("=")[0]
            meant = words.of_option(word, self._option_string_actions, "")
            advice = "\n  ".join([*meant.removeprefix("see ").splitlines(), advice])
        raise UsageError(message, advice)


class OwnCommand(Command):  # type: ignore[misc]
    """A doit command: `add_arguments` declares, `act` does and returns the exit code.

    in_brief: what ./doit --help says of it, on one line, since that is read without importing it.
    """

    name: ClassVar[str]
    in_brief: ClassVar[str]
    doc_purpose: ClassVar[str]
    doc_usage: ClassVar[str] = ""

    @classmethod
    def get_name(cls) -> str:
        return cls.name

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options and names."""

    def act(self, arguments: argparse.Namespace) -> int:
        raise NotImplementedError

    @cached_property
    def project(self) -> Project:
        """The front hands in its own; doit by itself makes commands for where it stands."""
        return Project(PROJECT)

    @property
    def parser(self) -> Parser:
        parser = Parser(prog=f"./doit {self.name}", description=self.doc_purpose)
        self.add_arguments(parser)
        return parser

    def parse_execute(self, in_args: Sequence[str]) -> int:
        # doit would print a traceback of ours.
        return guarded(self.project, lambda: self.act(self.parser.parse_args(list(in_args))))

    def help(self) -> str:
        """What `./doit help NAME` prints."""
        return self.parser.format_help()

    def execute(self, opt_values: Any, pos_args: Any) -> int:
        raise NotImplementedError("parse_execute does it all")
