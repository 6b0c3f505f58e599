"""The work order that a step hands to a job in a toolchain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

P = TypeVar("P", covariant=True)


@dataclass(frozen=True)
class NoParams:
    """Of a job that its inputs tell everything."""


@dataclass(frozen=True)
class Job(Generic[P]):
    """One piece of work.

    params:  what the recipe says, decoded once: of the class that `run` names, `Job[Params]`.
    inputs:  dependency name -> path (`in/...` in the step's working folder, read only).
    out:     folder; what is left there is moved into place when every job of the step has
             succeeded.
    scratch: folder of the step alone, where a job leaves what a later one is told to read.
    """

    params: P
    inputs: Mapping[str, Path]
    out: Path
    scratch: Path
