"""A few samples' tensors side by side: what a small one takes alone is NumPy's calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Sample = Mapping[str, Array]

_AT_ONCE = 1 << 17  # bytes
_MOST = 64


def together(
    runs: Iterable[tuple[Sample, Sample]], *, is_kept: bool
) -> Iterator[tuple[list[Sample], dict[str, Array]]]:
    """Samples with their float tensors, [samples, *shape], until the next ones are asked for.

    runs: inputs by name, and what was made of them. is_kept: whether samples are wanted; otherwise
    there are none, and their memory is free as soon as they were copied.
    """
    stacks: dict[str, Array] = {}
    samples: list[Sample] = []
    count = room = 0
    for sample, made in runs:
        tensors = {name: x for name, x in sample.items() if x.dtype.kind == "f"} | dict(made)
        if not _fits(tensors, stacks):
            if count:
                yield samples, {name: stack[:count] for name, stack in stacks.items()}
            samples, count = [], 0
            room = _room(tensors)
            stacks = {name: np.empty((room, *x.shape), x.dtype) for name, x in tensors.items()}
        if room == 1:
            yield [sample], {name: x[None] for name, x in tensors.items()}
            continue
        for name, x in tensors.items():
            stacks[name][count] = x
        count += 1
        if is_kept:
            samples.append(sample)
        if count == room:
            yield samples, stacks
            samples, count = [], 0
    if count:
        yield samples, {name: stack[:count] for name, stack in stacks.items()}


def _fits(tensors: Sample, stacks: Mapping[str, Array]) -> bool:
    """Networks with axes of any length have samples of several shapes."""
    return tensors.keys() == stacks.keys() and all(
        x.shape == stacks[name].shape[1:] for name, x in tensors.items()
    )


def _room(tensors: Sample) -> int:
    return min(_MOST, max(1, _AT_ONCE // max(1, sum(x.nbytes for x in tensors.values()))))
