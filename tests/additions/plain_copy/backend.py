"""The backend plain_copy: NAME_copy.onnx is the simplified network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.recipe.define.backend_keys import BackendKeys
from pipelines.recipe.define.model import Recipe, Target
from pipelines.recipe.define.view import View
from pipelines.recipe.resolve import target
from pipelines.stages.backend import Backend
from pipelines.stages.stage import Step, Work, built, step_of
from quant.fault import Fault


def resolve(view: View) -> list[Target]:
    return [target(view, None, toolchain="core")]


def artifacts(recipe: Recipe, target: Target) -> dict[str, str]:
    return {"onnx": f"{recipe.model}_copy.onnx"}


def steps(recipe: Recipe, target: Target, root: Path) -> list[Step]:
    (file,) = artifacts(recipe, target).values()
    work = Work("core", "pipelines.backends.plain_copy.jobs.build", {"file": file})
    return [
        step_of(
            recipe,
            "build",
            target.name,
            inputs={"model": built(recipe, "simplify/model.onnx")},
            outputs={file: built(recipe, f"{target.name}/{file}")},
            version_key="plain_copy.build",
            toolchains=("core",),
            work=lambda: (work,),
        )
    ]


def infer_step(recipe: Recipe, target: Target, listing: str, files: Sequence[str]) -> Step:
    raise Fault("nothing runs a copy", "run the float network")


BACKEND = Backend(
    keys=BackendKeys(
        name="plain_copy",
        doc="the float network itself.",
        sections={},
        keys={},
        defaults={},
        check=lambda view: None,
        resolve=resolve,
        example="copy: {backend: plain_copy}",
    ),
    steps=steps,
    artifacts=artifacts,
    infer_step=infer_step,
    bytes_key="artifact",
    runs="float",
    in_words="float",
)
