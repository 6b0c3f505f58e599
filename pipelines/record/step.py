"""A step: one stage of one model for one target. What doit runs and DVC locks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.files.engine import TOOLCHAINS


@dataclass(frozen=True)
class Work:
    """One job of a step: `run` of a module in a folder `jobs`, inside a toolchain.

    environment: variables that its process must start with; such jobs have a server of their own.
    """

    toolchain: str
    module: str
    params: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """Frozen data; paths are relative to the project.

    inputs:   name in the job -> path of a file or folder.
    outputs:  name below the job's `out/` -> path where it is kept.
    sections: dotted recipe path -> value as written, for all that the step reads of the recipe.
    version:  raised when the stage's output changes for the same input.
    defaults: dotted key of defaults.yaml -> what jobs are given where the recipe says nothing.
    outside:  inputs that may lead out of the project by a link, or folders above them.
    work:     makes the jobs, in order; they share one working folder.
    limit_s:  how long they may run together; what they make doesn't depend on it.

    Of the last job, on which what it makes doesn't depend either:
    is_kept:  whether its process stays for a while, with what it holds in memory.
    goes_on:  the stage before, in whose process it runs where that is still there.
    """

    model: str
    stage: str
    target: str | None
    folder: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    sections: Mapping[str, Any]
    version_key: str
    version: int
    toolchains: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    outside: tuple[str, ...] = field(default=(), kw_only=True)
    work: Callable[[], tuple[Work, ...]] = field(compare=False, repr=False)
    limit_s: float | None = None
    is_kept: bool = field(default=False, kw_only=True)
    goes_on: str = field(default="", kw_only=True)

    @property
    def name(self) -> str:
        """`ultraface:build@rk3588`: what people type."""
        return self._named(self.stage)

    @property
    def goes_on_in(self) -> str:
        """Name of the step in whose process its last job runs; empty where that is none's."""
        return self._named(self.goes_on) if self.goes_on else ""

    def _named(self, stage: str) -> str:
        return f"{self.model}:{stage}" + (f"@{self.target}" if self.target else "")

    @property
    def lock_name(self) -> str:
        """`build-rk3588`: DVC cannot address `@` or `:` in a stage's name."""
        return self.stage + (f"-{self.target}" if self.target else "")

    @property
    def command(self) -> str:
        """What DVC runs, in the model's folder."""
        return f"../../doit step {self.name}"

    @property
    def dependencies(self) -> tuple[str, ...]:
        """Every path whose content the step depends on, toolchain locks included, sorted."""
        locks = (f"{TOOLCHAINS}/{name}.txt" for name in self.toolchains)
        return tuple(sorted({*self.inputs.values(), *locks}))
