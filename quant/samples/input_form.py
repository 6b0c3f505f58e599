"""What one input of a network takes, and what the recipe says of its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from quant.fault import Fault
from quant.graph.types import TensorType, numpy_dtype
from quant.samples.images.image_names import DEFAULT_COLORS
from quant.samples.images.images import Frame, channels_last
from quant.samples.input import Input
from quant.samples.raw_form import RawForm, raw_form


@dataclass(frozen=True)
class InputForm:
    """shape: with its batch. color, resize, pad, bits are for images; mean and std in pixel units.

    raw: what a sample in a file of plain numbers is.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    color: str | None = None
    resize: str | None = None
    pad: int = 114
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    bits: int = 8
    raw: RawForm | None = None

    @property
    def batch(self) -> int:
        return self.shape[0] if self.shape else 1

    @property
    def single(self) -> tuple[int, ...]:
        """The shape of one sample without its batch."""
        return self.shape[1:]

    def frame(self) -> Frame:
        """What images must become for this input. Raises Fault where it takes none."""
        last = channels_last(self.shape)
        if last is None:
            raise Fault(
                f"input `{self.name}` {list(self.shape)} takes no images: they have 1 or 3 "
                "channels, second of four axes",
                "give its samples as npy files",
            )
        channels = self.shape[3] if last else self.shape[1]
        height, width = self.shape[1:3] if last else self.shape[2:4]
        color = self.color or DEFAULT_COLORS[channels]
        if (color == "gray") != (channels == 1):
            raise Fault(
                f"input `{self.name}` has {channels} channels, and `color: {color}`",
                "write `color: gray` for 1 channel, `rgb` or `bgr` for 3",
            )
        if self.bits > 8 and channels != 1:
            raise Fault(
                f"input `{self.name}` has {channels} channels, and `bits: {self.bits}`",
                "such images are read in gray alone; give npy files of uint16",
            )
        return Frame(width, height, color, self.resize, self.pad, self.bits)


def input_forms(
    types: Mapping[str, TensorType],
    recipe: Mapping[str, Input],
    channel_axis: int = 1,
) -> list[InputForm]:
    """The network's inputs, in its order, with what the recipe says of each.

    Raises Fault on a number of means or stds that the SDK would refuse: of an ONNX input it takes
    the second axis for the channels, whatever the layout; its own TFLite loader, the last (-1).
    """
    return [
        _form(name, type_, recipe.get(name, Input()), channel_axis) for name, type_ in types.items()
    ]


def _form(name: str, type_: TensorType, told: Input, channel_axis: int) -> InputForm:
    shape = type_.static_shape
    for key, values in (("mean", told.mean), ("std", told.std)):
        channels = shape[channel_axis] if len(shape) > 1 else 1
        if values is not None and len(values) not in (1, channels):
            raise Fault(
                f"input `{name}` {list(shape)} has {len(values)} values of `{key}`, and {channels} "
                "channels: the SDK takes the second axis for them",
                "give the input its channels first, or one value for all",
            )
    return InputForm(
        name,
        shape,
        np.dtype(numpy_dtype(type_.dtype)),
        told.color,
        told.resize,
        told.pad,
        told.mean,
        told.std,
        told.bits or 8,
        raw_form(told.raw),
    )
