"""Convolutions. TFLite's weights are O,H,W,I (depthwise: 1,H,W,O); ONNX's are O,I,H,W."""

from __future__ import annotations

from collections.abc import Sequence

from quant.tflite.building.builder import Builder
from quant.tflite.building.fused import activate
from quant.tflite.building.layout import CHANNELS_FIRST, Order
from quant.tflite.building.padding import explicit_pads

OUTPUT_FIRST: Order = (0, 3, 1, 2)  # O,H,W,I -> O,I,H,W
LAST_FIRST: Order = (3, 0, 1, 2)  # 1,H,W,O -> O,1,H,W and O,H,W,I -> I,O,H,W


def pads_of(pairs: Sequence[tuple[int, int]]) -> list[int]:
    """ONNX's form: every begin, then every end."""
    return [begin for begin, _ in pairs] + [end for _, end in pairs]


def convolve(b: Builder, weights_order: Order, group: int) -> None:
    x, weights, bias = b.value(0), b.value(1), b.optional(2)
    options = b.op.options
    kernel = weights.shape[1:3]
    strides = (options.strideH, options.strideW)
    dilations = b.op.dilations or (options.dilationHFactor, options.dilationWFactor)
    pads = b.op.pads or [
        explicit_pads(options.padding, x.shape[1 + i], kernel[i], strides[i], dilations[i])
        for i in (0, 1)
    ]
    inputs = [b.channels_first(x), b.stored(weights, weights_order)]
    name = b.emit(
        "Conv",
        inputs + ([b.stored(bias)] if bias else []),
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        pads=pads_of(pads),
        group=group,
    )
    b.define(activate(b, name), CHANNELS_FIRST)


def conv_2d(b: Builder) -> None:
    convolve(b, OUTPUT_FIRST, group=b.value(0).shape[3] // b.value(1).shape[3])


def depthwise_conv_2d(b: Builder) -> None:
    convolve(b, LAST_FIRST, group=b.value(0).shape[3])


def transpose_conv(b: Builder) -> None:
    """Inputs: the output's shape, weights, x, bias. The padding is the forward convolution's."""
    weights, x, bias = b.value(1), b.value(2), b.optional(3)
    options, out = b.op.options, b.shape_out()
    kernel = weights.shape[1:3]
    strides = (options.strideH, options.strideW)
    pads = [explicit_pads(options.padding, out[1 + i], kernel[i], strides[i]) for i in (0, 1)]
    extra = [
        out[1 + i] - ((x.shape[1 + i] - 1) * strides[i] + kernel[i] - sum(pads[i])) for i in (0, 1)
    ]
    if not all(0 <= extra[i] < strides[i] for i in (0, 1)):
        raise b.fault(
            f"output {list(out)} does not fit input {list(x.shape)}, kernel {list(kernel)} "
            f"and strides {list(strides)}",
            "convert the network again",
        )
    inputs = [b.channels_first(x), b.stored(weights, LAST_FIRST)]
    name = b.emit(
        "ConvTranspose",
        inputs + ([b.stored(bias)] if bias else []),
        kernel_shape=kernel,
        strides=strides,
        pads=pads_of(pads),
        output_padding=extra,
    )
    b.define(activate(b, name), CHANNELS_FIRST)


OPS = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "TRANSPOSE_CONV": transpose_conv,
}
