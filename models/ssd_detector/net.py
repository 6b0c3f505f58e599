"""ssd_detector: the smallest detector whose heads make a large .rknn of a small network.

Four feature maps of 20x20, 10x10, 5x5 and 3x3 cells, three boxes a cell, as in SSD: every map has a
convolution for the boxes and one for the scores, and all boxes are joined to one list of 1602. The
list's parts are 1200, 300, 75 and 27 long, mostly no multiples of the NPU's 16 channels.
"""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn

SEED = 160
MAPS = (24, 32, 32, 32)  # channels of each feature map, from large to small
ANCHORS = 3  # boxes a cell
CLASSES = 2
VARIANCES = (0.1, 0.2)  # of centres and sizes, as SSD scales them


def build() -> nn.Module:
    """The network in evaluation mode, with the same weights on every machine.

    Input: float32 [1, 3, 160, 160]. Outputs: boxes, float32 [1, 1602, 4] as left, top, right,
    bottom; scores, float32 [1, 1602, 2], which add up to 1.
    """
    network = Detector()
    draw = random.Random(SEED)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                bound = (6 / layer.weight[0].numel()) ** 0.5  # variance 2 / fan-in, for ReLU
                fill(layer.weight, draw, -bound, bound)
                if layer.bias is not None:
                    fill(layer.bias, draw, -bound, bound)
    return network.eval()


def fill(tensor: Tensor, draw: random.Random, low: float, high: float) -> None:
    """Overwrite a tensor with uniform numbers in [low, high], the same on every machine.

    Python guarantees the sequence of `random.Random(seed).random()` in all its versions.
    """
    values = [low + (high - low) * draw.random() for _ in range(tensor.numel())]
    tensor.copy_(torch.tensor(values, dtype=torch.float64).reshape(tensor.shape))


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution that halves height and width."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU())


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(3, 8), convolution(8, 16))  # 40x40
        widths = [16, *MAPS]
        self.levels = nn.ModuleList(map(convolution, widths, MAPS))
        self.boxes = nn.ModuleList(nn.Conv2d(n, ANCHORS * 4, 3, padding=1) for n in MAPS)
        self.scores = nn.ModuleList(nn.Conv2d(n, ANCHORS * CLASSES, 3, padding=1) for n in MAPS)
        anchors = torch.cat([cells(side) for side in (20, 10, 5, 3)])
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(image)
        boxes, scores = [], []
        for level, box, score in zip(self.levels, self.boxes, self.scores, strict=True):
            x = level(x)
            boxes.append(as_list(box(x), 4))
            scores.append(as_list(score(x), CLASSES))
        # These two joins are what the recipe's rewrite is for.
        return self.decode(torch.cat(boxes, 1)), torch.softmax(torch.cat(scores, 1), 2)

    def decode(self, found: Tensor) -> Tensor:
        """SSD's offsets from the anchors, as corners."""
        centres = self.anchors[:, :2] + found[..., :2] * VARIANCES[0] * self.anchors[:, 2:]
        sizes = self.anchors[:, 2:] * torch.exp(found[..., 2:] * VARIANCES[1])
        return torch.cat([centres - sizes / 2, centres + sizes / 2], 2)


def as_list(found: Tensor, values: int) -> Tensor:
    """[1, anchors * values, height, width] -> [1, height * width * anchors, values]."""
    return found.permute(0, 2, 3, 1).reshape(1, -1, values)


def cells(side: int) -> Tensor:
    """The anchors of a map: centre x, centre y, width, height, in units of the picture."""
    rows = [
        [(column + 0.5) / side, (row + 0.5) / side, size / side, size / side]
        for row in range(side)
        for column in range(side)
        for size in (1.0, 1.5, 2.0)[:ANCHORS]
    ]
    return torch.tensor(rows)
