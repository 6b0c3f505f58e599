"""Mean and standard deviation of pixels, as the SDK applies them to its inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quant.fault import Fault


def normalize(
    array: NDArray[np.generic],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> NDArray[np.float32]:
    """(array - mean) / std as float32, for a float network that expects normalised data.

    array: with its batch, channels second (or last, where only the last axis has as many
    channels). mean, std: one number for all or one a channel; None is 0 and 1.
    Raises Fault where their number is neither 1 nor that of the channels, or a std is 0.
    """
    values = array.astype(np.float32)
    shift = _per_channel(mean or (0.0,), values.shape, "mean")
    scale = _per_channel(std or (1.0,), values.shape, "std")
    if not scale.all():
        raise Fault("a std is 0", "write the standard deviation of each channel, above 0")
    return (values - shift) / scale


def _per_channel(
    numbers: Sequence[float], shape: tuple[int, ...], noun: str
) -> NDArray[np.float32]:
    """The numbers in a shape that broadcasts along the channels."""
    count, rank = len(numbers), len(shape)
    if count == 1:
        return np.asarray(numbers, np.float32)
    for axis in (1, rank - 1):
        if 0 < axis < rank and shape[axis] == count:
            along = [1] * rank
            along[axis] = count
            return np.asarray(numbers, np.float32).reshape(along)
    raise Fault(
        f"{count} values of {noun} for an input {list(shape)}",
        "give one value, or one for each channel",
    )
