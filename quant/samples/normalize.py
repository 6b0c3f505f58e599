"""Pixel values as a network takes them: (x - mean) / std per channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from quant.fault import Fault


def normalize(
    pixels: npt.NDArray[np.generic],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    channel_axis: int = 1,
) -> npt.NDArray[np.float32]:
    """(pixels - mean) / std, as float32 and in the arithmetic of float32.

    mean, std: one number a channel, one for all channels, or None for 0 and 1. Channels of an ONNX
    input are axis 1, whatever the layout: rknn-toolkit2 takes them so. Raises Fault on another
    number of them.
    """
    values = pixels.astype(np.float32)
    if mean is not None:
        values = values - along_channels(mean, values.shape, "mean", channel_axis)
    if std is not None:
        values = values / along_channels(std, values.shape, "std", channel_axis)
    return values


def along_channels(
    numbers: Sequence[float], shape: tuple[int, ...], noun: str, channel_axis: int
) -> npt.NDArray[np.float32]:
    """The numbers in a shape that broadcasts to `shape`, float32. Raises Fault; noun: for it."""
    array = np.asarray(numbers, np.float32)
    if len(numbers) == 1:
        return array.reshape(())
    if len(shape) > 1 and shape[channel_axis] == len(numbers):
        return array.reshape(
            [-1 if i == channel_axis % len(shape) else 1 for i in range(len(shape))]
        )
    raise Fault(
        f"`{noun}` has {len(numbers)} numbers, which are not the channels of {list(shape)}",
        f"give one number for each channel (axis {channel_axis}), or one for all",
    )
