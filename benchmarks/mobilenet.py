"""MobileNetV1-224 with seeded random weights, as ONNX and as Keras, and seeded pictures for it.

Source of the layers: Howard et al. 2017, arXiv:1704.04861, width 1.0; padding as Keras has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]
SIDE, CLASSES = 224, 1000
# Channels and stride of each depthwise block
BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
BLOCKS += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
BLOCK_OF_PIXELS = 8  # pictures are of squares, as noise alone gives every picture the same scores


def pictures(count: int, seed: int) -> Iterator[Array]:
    """[1, 3, 224, 224] in [-1, 1], one at a time."""
    side = SIDE // BLOCK_OF_PIXELS
    for number in range(count):
        coarse = np.random.default_rng([seed, number]).uniform(-1, 1, (1, 3, side, side))
        fine = coarse.repeat(BLOCK_OF_PIXELS, axis=2).repeat(BLOCK_OF_PIXELS, axis=3)
        yield fine.astype(np.float32)


def layers() -> Iterator[tuple[str, Array, Array, int, int]]:
    """Name, weight [out, in a group, h, w], bias, stride and groups of each convolution.

    The names are those of Keras. The last one is the classifier, which no activation follows.
    """
    random = np.random.default_rng(0)

    def made(name: str, shape: tuple[int, ...], stride: int = 1, groups: int = 1) -> Any:
        weight = random.standard_normal(shape) * (2 / np.prod(shape[1:])) ** 0.5
        bias = random.standard_normal(shape[0]) * 0.1
        return name, weight.astype(np.float32), bias.astype(np.float32), stride, groups

    yield made("conv1", (32, 3, 3, 3), stride=2)
    channels = 32
    for number, (wide, stride) in enumerate(BLOCKS, 1):
        yield made(f"conv_dw_{number}", (channels, 1, 3, 3), stride, channels)
        yield made(f"conv_pw_{number}", (wide, channels, 1, 1))
        channels = wide
    yield made("conv_preds", (CLASSES, channels, 1, 1))


def as_onnx() -> onnx.ModelProto:
    """As exporters write it: BatchNormalization is folded, Relu6 is a Clip."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = []
    bounds = {"zero": 0, "six": 6}
    weights = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in bounds.items()]
    x = "input"
    for name, weight, bias, stride, groups in layers():
        if name == "conv_preds":
            nodes.append(helper.make_node("GlobalAveragePool", [x], ["pooled"], "pool"))
            nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"))
            weight, x = weight[:, :, 0, 0], "flat"
        weights.append(numpy_helper.from_array(weight, f"{name}.weight"))
        weights.append(numpy_helper.from_array(bias, f"{name}.bias"))
        inputs = [x, f"{name}.weight", f"{name}.bias"]
        if name == "conv_preds":
            nodes.append(helper.make_node("Gemm", inputs, ["scores"], name, transB=1))
            continue
        around = 0 if weight.shape[2] == 1 else 1
        pads = [around if stride == 1 else 0] * 2 + [around] * 2
        given: dict[str, Any] = {"strides": [stride] * 2, "group": groups, "pads": pads}
        nodes.append(helper.make_node("Conv", inputs, [name], name, **given))
        x = f"{name}_relu"
        nodes.append(helper.make_node("Clip", [name, "zero", "six"], [x], x))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "mobilenet",
        [value("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [value("scores", TensorProto.FLOAT, [1, CLASSES])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def as_keras() -> Any:
    """Keras's own MobileNet; each bias is its BatchNormalization's shift."""
    import tensorflow

    model = tensorflow.keras.applications.MobileNet(
        (SIDE, SIDE, 3), weights=None, classes=CLASSES, classifier_activation=None
    )
    for name, weight, bias, _, groups in layers():
        kernel = weight.transpose(2, 3, 0, 1) if groups > 1 else weight.transpose(2, 3, 1, 0)
        if name == "conv_preds":
            model.get_layer(name).set_weights([kernel, bias])
            continue
        model.get_layer(name).set_weights([kernel])
        norm = model.get_layer(f"{name}_bn")
        one = np.ones_like(bias)
        norm.set_weights([one, bias, 0 * one, one - np.float32(norm.epsilon)])
    return model
