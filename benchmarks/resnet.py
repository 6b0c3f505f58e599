"""ResNet50-224 with seeded random weights, as ONNX: BatchNormalization is folded.

Source of the layers: He et al. 2015, arXiv:1512.03385, stride in the 3x3 convolution, as
torchvision has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

SIDE, CLASSES = 224, 1000
STAGES = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]  # width, blocks, first stride


class Builder:
    """Nodes and weights while the network grows."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def conv(self, x: str, inputs: int, outputs: int, side: int, stride: int = 1) -> str:
        from onnx import numpy_helper

        # Half of He's variance where a sum follows: the values then stay of one size.
        spread = (1 / (inputs * side * side)) ** 0.5
        values = self.random.standard_normal((outputs, inputs, side, side)) * spread
        bias = self.random.standard_normal(outputs) * 0.1
        names = f"w{len(self.weights)}", f"b{len(self.weights)}"
        for name, array in zip(names, (values, bias), strict=True):
            self.weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return self.op(
            "Conv",
            *(x, *names),
            kernel_shape=[side] * 2,
            strides=[stride] * 2,
            pads=[side // 2] * 4,
        )

    def bottleneck(self, x: str, inputs: int, width: int, stride: int) -> str:
        y = self.op("Relu", self.conv(x, inputs, width, 1))
        y = self.op("Relu", self.conv(y, width, width, 3, stride))
        y = self.conv(y, width, 4 * width, 1)
        is_same = stride == 1 and inputs == 4 * width
        short = x if is_same else self.conv(x, inputs, 4 * width, 1, stride)
        return self.op("Relu", self.op("Add", y, short))


def as_onnx() -> onnx.ModelProto:
    from onnx import TensorProto, helper

    made = Builder()
    x = made.op("Relu", made.conv("input", 3, 64, 7, 2))
    x = made.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for width, blocks, stride in STAGES:
        for number in range(blocks):
            x = made.bottleneck(x, channels, width, stride if number == 0 else 1)
            channels = 4 * width
    x = made.conv(made.op("GlobalAveragePool", x), channels, CLASSES, 1)
    x = made.op("Flatten", x, axis=1)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        made.nodes,
        "resnet50",
        [value("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [value(x, TensorProto.FLOAT, [1, CLASSES])],
        made.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
