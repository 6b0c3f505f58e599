"""MANIFEST.json of a release: what it is made of, and from what.

format           1
model, version
git              {revision, date}
npumake          its version
recipe_sha256
files            path -> {sha256, bytes}, of all but MANIFEST.json and SHA256SUMS
targets          name -> {backend, platform, toolchain, artifacts: [paths]}, and of an .rknn
                 {toolkit, compiler, container, digest}
toolchains       name -> {sha256, pins}: of toolchains/NAME.txt, and package -> version
stages           step -> version of its stage
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipelines.backends.rknn.file import inspection
from pipelines.backends.table import BACKENDS
from pipelines.files.engine import CODE
from pipelines.recipe.define.model import Recipe, Target
from pipelines.record.step import Step
from pipelines.run.toolchain import pins
from pipelines.stages.stage import built
from quant.sha256 import sha256_of

NAME, SUMS = "MANIFEST.json", "SHA256SUMS"
_OF_RKNN = ("toolkit", "compiler", "container", "digest")


def files(members: Mapping[str, Path | bytes]) -> dict[str, dict[str, Any]]:
    """Path -> SHA-256 and length."""
    return {
        name: {"sha256": hashlib.sha256(held).hexdigest(), "bytes": len(held)}
        if isinstance(held, bytes)
        else {"sha256": sha256_of(held), "bytes": held.stat().st_size}
        for name, held in sorted(members.items())
    }


def sums(rows: Mapping[str, str]) -> bytes:
    """Path -> SHA-256 in the form that `sha256sum -c` reads."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(rows.items())).encode()


def target(root: Path, recipe: Recipe, told: Target) -> dict[str, Any]:
    names = BACKENDS[told.backend].artifacts(recipe, told).values()
    row: dict[str, Any] = {
        "backend": told.backend,
        "platform": told.platform,
        "toolchain": told.toolchain,
        "artifacts": [f"{told.name}/{name}" for name in names],
    }
    for name in names:
        if name.endswith(".rknn"):
            held = inspection.inspect(root / built(recipe, f"{told.name}/{name}"))
            row |= {key: held[key] for key in _OF_RKNN}
    return row


def toolchains(steps: Iterable[Step]) -> dict[str, Any]:
    names = sorted({name for step in steps for name in step.toolchains})
    return {name: _toolchain(CODE / "toolchains" / f"{name}.txt") for name in names}


def _toolchain(file: Path) -> dict[str, Any]:
    _, held = pins.parse(file.read_text(encoding="utf-8"))
    return {"sha256": sha256_of(file), "pins": {pin.name: pin.version for pin in held}}
