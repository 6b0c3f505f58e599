"""Networks that tests hand to export_torch as a user's own file; imported in its toolchain."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Body(nn.Module):  # type: ignore[misc]
    """Conv-BatchNorm-ReLU, then a tail of its own."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.norm.running_mean.uniform_(-0.5, 0.5)
        self.norm.running_var.uniform_(0.5, 1.5)

    def body(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class View(Body):
    """A flatten written as it is in most tutorials: Shape-Gather-Unsqueeze-Concat-Reshape."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4 * 8 * 8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return self.linear(x.view(x.size(0), -1))


class Interpolate(Body):
    """An upsampling to a size computed from the input's."""

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[2] * 2, x.shape[3] * 2)
        return F.interpolate(self.body(x), size=size, mode="bilinear", align_corners=False)


class Pool1d(Body):
    """flatten of height and width, then AdaptiveAvgPool1d: Shape-Slice-Concat-Reshape."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool1d(1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.pool(torch.flatten(self.body(x), 2)), 1)


class Named(Body):
    def forward(self, x: Tensor) -> dict[str, Any]:
        x = self.body(x)
        return {"scores": x.mean((2, 3)), "boxes": x.amax((2, 3)), "none": None}


class Boxed(Body):
    """A dictionary of tensors alone can be traced."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.body(x)}


class Nested(Body):
    def forward(self, x: Tensor) -> Any:
        x = self.body(x)
        return [x.mean((2, 3)), (x.amax((2, 3)), x.amin((2, 3)))]


class TwoInputs(Body):
    def forward(self, image: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(image).mean((2, 3))
        return x * 2 + ids.float(), x.argmax(1)


class Unused(Body):
    def forward(self, image: Tensor, extra: Tensor) -> Tensor:
        return self.body(image)


class Dropout(Body):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.body(x))


class Branch(Body):
    """Tracing fixes the branch that the first input took."""

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) * (2 if x.mean() < 0.25 else 3)


class WritesIntoItsInput(Body):
    def forward(self, x: Tensor) -> Tensor:
        x += 1
        return self.body(x)


class Inverse(Body):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.inv(self.body(x) + 10 * torch.eye(8))


class Tied(nn.Module):  # type: ignore[misc]
    """safetensors leaves out `two.weight`, which is the same tensor as `one.weight`."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 4)
        self.two = nn.Linear(4, 4)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.two(torch.relu(self.one(x)))


class Bfloat(Body):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).bfloat16()


class Nothing(Body):
    def forward(self, x: Tensor) -> None:
        return None


def no_module() -> int:
    return 3


def wrong_inside() -> nn.Module:
    return nn.Conv2d(3, 4, kernel=3)


def leaves() -> nn.Module:
    raise SystemExit("usage: train.py --data FOLDER")
