"""The work order that a step hands to a job in a toolchain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """One piece of work; the working folder is private to the step and is the current folder.

    params: resolved values of the recipe that this stage reads (JSON data).
    inputs: dependency name -> path below the working folder (`in/...`, read only).
    out:    folder `out/` below the working folder; what is left there is moved into place
            when every job of the step has succeeded.
    """

    params: Mapping[str, Any]
    inputs: Mapping[str, Path]
    out: Path
