"""Multi-gate Mixture-of-Experts for two tasks (Ma et al., KDD 2018, doi 10.1145/3219819.3220007).

Shared experts see the same features; each task has a gate, a softmax over the experts, that mixes
their results for it, and a tower of its own: f_k(x) = tower_k(sum_i gate_k(x)_i expert_i(x)).
"""

from __future__ import annotations

import torch
from torch import nn


def build(
    reals: int = 16, ids: int = 184, fields: int = 3, width: int = 8, experts: int = 4
) -> nn.Module:
    """The network, untrained, in evaluation mode.

    Inputs: `user` float32 [N, reals]; `item` int64 [N, fields], each below `ids`. Outputs: `task1`
    and `task2`, float32 [N, 2], unscaled scores of no and yes.
    """
    return Mixture(reals, ids, fields, width, experts).eval()


class Mixture(nn.Module):
    """width: numbers an id is embedded in."""

    def __init__(self, reals: int, ids: int, fields: int, width: int, experts: int) -> None:
        super().__init__()
        features = reals + fields * width
        self.embedding = nn.Embedding(ids, width)
        self.experts = nn.ModuleList(perceptron(features, 64, 32) for _ in range(experts))
        self.gates = nn.ModuleList(nn.Linear(features, experts) for _ in range(2))
        self.towers = nn.ModuleList(tower(32) for _ in range(2))

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = torch.cat([user, self.embedding(item).flatten(1)], dim=1)
        results = torch.stack([expert(x) for expert in self.experts], dim=1)  # [N, experts, 32]
        scores = []
        for gate, tower_of_task in zip(self.gates, self.towers, strict=True):
            shares = gate(x).softmax(dim=1).unsqueeze(2)  # [N, experts, 1]
            # A product and a sum, no matmul: these are the operators that integers know best.
            scores.append(tower_of_task((shares * results).sum(dim=1)))
        return tuple(scores)


def perceptron(features: int, hidden: int, out: int) -> nn.Module:
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, out), nn.ReLU())


def tower(features: int) -> nn.Module:
    return nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, 2))
