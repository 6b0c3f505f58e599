"""MobileNetV1 of width 0.25 for gray 32x32 pictures of ten classes.

The blocks, strides and channel counts are those of the paper (Howard et al. 2017, arXiv:1704.04861,
table 1), with one change for the small picture: the first convolution has stride 1, not 2, so that
the last feature map is 2x2 and the average pooling has something to average.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

# output channels at width 1.0, and stride of the depthwise convolution
BLOCKS = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
]


def build(width: float = 0.25, classes: int = 10) -> nn.Module:
    """The network, untrained, in evaluation mode.

    Input: float32 [N, 1, 32, 32], (pixel - mean) / std as in recipe.yaml.
    Output: float32 [N, classes], unscaled scores (no softmax).
    """
    channels = int(32 * width)
    layers = OrderedDict(conv=convolution(1, channels, kernel=3))
    for number, (full, stride) in enumerate(BLOCKS, start=1):
        out = int(full * width)
        layers[f"depthwise{number}"] = convolution(channels, channels, 3, stride, groups=channels)
        layers[f"pointwise{number}"] = convolution(channels, out, kernel=1)
        channels = out
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["linear"] = nn.Linear(channels, classes)
    return nn.Sequential(layers).eval()


def convolution(
    channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Module:
    """Convolution, BatchNorm, ReLU; "same" padding, no bias of its own."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(
                channels, out, kernel, stride, padding=kernel // 2, groups=groups, bias=False
            ),
            bn=nn.BatchNorm2d(out),
            relu=nn.ReLU(),
        )
    )
