"""Pooling over height and width. Padded places never count in an average, as in TFLite."""

from __future__ import annotations

from typing import Any

from quant.tflite.building.builder import Builder
from quant.tflite.building.fused import activate
from quant.tflite.building.layout import CHANNELS_FIRST
from quant.tflite.building.padding import explicit_pads
from quant.tflite.ops.conv import pads_of


def pool(b: Builder, kind: str, **attributes: Any) -> None:
    x, options = b.value(0), b.op.options
    kernel = (options.filterHeight, options.filterWidth)
    strides = (options.strideH, options.strideW)
    pads = [explicit_pads(options.padding, x.shape[1 + i], kernel[i], strides[i]) for i in (0, 1)]
    if kernel == x.shape[1:3] and not any(map(any, pads)):
        name = b.emit(f"Global{kind}", [b.channels_first(x)])
    else:
        name = b.emit(
            kind,
            [b.channels_first(x)],
            kernel_shape=kernel,
            strides=strides,
            pads=pads_of(pads),
            **attributes,
        )
    b.define(activate(b, name), CHANNELS_FIRST)


def average_pool_2d(b: Builder) -> None:
    pool(b, "AveragePool", count_include_pad=0)


def max_pool_2d(b: Builder) -> None:
    pool(b, "MaxPool")


OPS = {"AVERAGE_POOL_2D": average_pool_2d, "MAX_POOL_2D": max_pool_2d}
