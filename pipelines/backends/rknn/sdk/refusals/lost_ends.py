"""Inputs and outputs that the SDK leaves out of a file, returning 0 (2.3.2 and 2.5.0).

Of outputs that are constants a line of its log says so, of others none does. Who feeds and reads
such a file by place then meets others in their places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import onnx

from pipelines.run.jobs.refusal import Refusal
from quant.execution.random_inputs import random_inputs
from quant.execution.run import FloatRun
from quant.graph.types import input_types


def require_inputs(
    names: Sequence[str], held: Sequence[str], idle: Callable[[], Sequence[str]]
) -> None:
    """Raise Refusal where a network of the inputs `names` became one of fewer.

    idle: asks which inputs change no output.
    """
    if len(held) < len(names):
        raise without_effect(idle(), f"the file has {len(held)} of {len(names)} inputs")


def require_outputs(
    names: Sequence[str], held: Sequence[str], model: Callable[[], onnx.ModelProto]
) -> None:
    """Raise Refusal where a network of the outputs `names` became one of fewer."""
    if len(held) >= len(names):
        return
    lost = [name for name in names if name not in held]
    why = dict(_reasons(model()))
    told = "; ".join(f"`{name}`{why.get(name, '')}" for name in lost)
    kept = ", ".join(name for name in names if name not in lost)
    raise Refusal(
        f"the SDK leaves {len(lost)} of {len(names)} outputs out of the file: {told}",
        f"keep the others alone: `outputs: [{kept}]`; a torch network returns them alone"
        if kept
        else "there is nothing left to compute",
    )


def without_effect(idle: Sequence[str], said: str) -> Refusal:
    """Of inputs that the SDK dropped. said: how that was seen."""
    if not idle:
        return Refusal(
            f"the SDK dropped inputs that change nothing ({said})", "take them out of the network"
        )
    has, them = ("input has", "it") if len(idle) == 1 else ("inputs have", "them")
    told = ", ".join(f"`{name}`" for name in idle)
    return Refusal(
        f"the {has} no effect on any output: {told}; the SDK dropped {them} ({said})",
        f"make it a constant, and leave it out of the data: `inputs: {{{idle[0]}: {{value: 0}}}}`",
    )


def _reasons(model: onnx.ModelProto) -> Iterator[tuple[str, str]]:
    """Output -> what is peculiar about it: by two runs on random inputs."""
    types, run = input_types(model), FloatRun(model)
    first, other = (run(random_inputs(types, draw)) for draw in range(2))
    for name, values in first.items():
        twin = next((n for n, v in first.items() if n != name and _same(v, values)), None)
        if _same(values, other[name]):
            yield name, " is the same whatever is fed"
        elif twin:
            yield name, f" is `{twin}` again"


def _same(one: np.ndarray, other: np.ndarray) -> bool:  # type: ignore[type-arg]
    return np.array_equal(one, other, equal_nan=True)
