"""Where in a file a value stands, and what is wrong there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from quant.nearest import did_you_mean, nearest

__all__ = ["Problem", "Problems", "Where", "did_you_mean", "nearest"]


@dataclass(frozen=True, order=True)
class Where:
    """A place in a text file. line and column count from 1."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong: where, what, and what to do about it."""

    where: Where
    what: str
    advice: str = ""

    def __str__(self) -> str:
        advice = "".join(f"\n  {line}" for line in self.advice.splitlines())
        return f"{self.where}: {self.what}{advice}"


class Problems(Exception):
    """All that is wrong with an input, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))
