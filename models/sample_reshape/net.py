"""sample_reshape: the smallest network that shows what `simplify` is for.

Two convolutions, then `flatten` of height and width. torch's TorchScript exporter writes that
flatten as Shape -> Slice -> Concat -> Reshape, though every size is known (`view(n, c, -1)` would
become one Reshape); simplify leaves the Reshape alone.
"""

from __future__ import annotations

import random
from collections import OrderedDict

import torch
from torch import nn

SEED = 15


def build() -> nn.Module:
    """The network in evaluation mode, with the same weights on every machine.

    Input: float32 [1, 3, 64, 64]. Output: float32 [1, 10].
    """
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 16, kernel_size=3, padding=1),
            bn1=nn.BatchNorm2d(16),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(16, 64, kernel_size=5, padding=2),
            bn2=nn.BatchNorm2d(64),
            relu2=nn.ReLU(),
            flatten_height_and_width=nn.Flatten(start_dim=2),
            pool=nn.AdaptiveAvgPool1d(1),
            flatten=nn.Flatten(),
            linear=nn.Linear(64, 10),
        )
    )
    draw = random.Random(SEED)
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.BatchNorm2d):
                fill_batch_norm(layer, draw)
            elif isinstance(layer, (nn.Conv2d, nn.Linear)):
                bound = (3 / layer.weight[0].numel()) ** 0.5  # weights of variance 1 / fan-in
                fill(layer.weight, draw, -bound, bound)
                fill(layer.bias, draw, -bound, bound)
    return network.eval()


def fill_batch_norm(layer: nn.BatchNorm2d, draw: random.Random) -> None:
    """Give a BatchNorm statistics as if it had been trained, so that folding it is no formality."""
    fill(layer.weight, draw, 0.75, 1.25)
    fill(layer.bias, draw, -0.25, 0.25)
    fill(layer.running_mean, draw, -0.25, 0.25)
    fill(layer.running_var, draw, 0.5, 1.5)


def fill(tensor: torch.Tensor, draw: random.Random, low: float, high: float) -> None:
    """Overwrite a tensor with uniform numbers in [low, high].

    Python guarantees the sequence of `random.Random(seed).random()` in all its versions. torch's
    does depend on the processor: after manual_seed(0) a new Conv2d(16, 64, 5) of torch 2.13 has
    other weights with its AVX2 kernels than with its plain ones.
    """
    values = [low + (high - low) * draw.random() for _ in range(tensor.numel())]
    tensor.copy_(torch.tensor(values, dtype=torch.float64).reshape(tensor.shape))
