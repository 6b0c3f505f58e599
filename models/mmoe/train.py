"""Train the network on the visits of make_data.py and write the weights.

    python -m venv trainenv
    trainenv/bin/pip install torch==2.13.0 safetensors==0.8.0 numpy==1.26.4
    trainenv/bin/python models/mmoe/make_data.py
    trainenv/bin/python models/mmoe/train.py [--seed 1]

Writes weights.safetensors, and prints (12 s on one core of an x86-64 server):

    training: task1 82.49 %, task2 82.41 %
    test: task1 80.65 %, task2 82.00 %

Another seed than 0 writes seeds/SEED.safetensors: more trainings of the same network, for tables
that should not hang on one. Seeds 1 and 2 gave 81.20 / 81.60 and 80.95 / 81.40 %. Two runs on one
machine wrote the same bytes; another processor's float sums may differ. The test set was not looked
at for any setting but the size of the training set.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import make_data
import net
import numpy as np
import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent
EPOCHS = 6
BATCH = 256
LEARNING_RATE = 5e-3
WEIGHT_DECAY = 1e-2


def tensors(visits: make_data.Visits) -> list[torch.Tensor]:
    arrays = (visits.user, visits.item, visits.clicked, visits.bought)
    return [torch.from_numpy(array) for array in arrays]


def train(network: nn.Module, visits: make_data.Visits) -> None:
    """AdamW with one learning-rate cycle over EPOCHS; both tasks weigh the same."""
    user, item, clicked, bought = tensors(visits)
    steps = len(user) // BATCH
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=EPOCHS * steps
    )
    network.train()
    for epoch in range(EPOCHS):
        order = torch.randperm(len(user))
        total = 0.0
        for step in range(steps):
            rows = order[step * BATCH : (step + 1) * BATCH]
            first, second = network(user[rows], item[rows])
            loss = functional.cross_entropy(first, clicked[rows])
            loss = loss + functional.cross_entropy(second, bought[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if (epoch + 1) % 2 == 0:
            print(f"epoch {epoch + 1}: loss {total / steps:.4f}", flush=True)
    network.eval()


@torch.no_grad()
def right(network: nn.Module, visits: make_data.Visits) -> list[float]:
    """The share of visits that each task gets right, in percent."""
    user, item, *labels = tensors(visits)
    both = zip(network(user, item), labels, strict=True)
    return [100 * np.mean((scores.argmax(dim=1) == y).numpy()) for scores, y in both]


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the network on synthetic visits.")
    parser.add_argument("--seed", type=int, default=0)
    seed: int = parser.parse_args().seed
    started = time.monotonic()
    torch.set_num_threads(1)  # the order of float sums, and so the weights, depends on threads
    torch.manual_seed(seed)
    network = net.build()
    train(network, make_data.training())
    weights = HERE / (f"seeds/{seed}.safetensors" if seed else "weights.safetensors")
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(save(network.state_dict()))
    for name, visits in (("training", make_data.training()), ("test", make_data.test())):
        first, second = right(network, visits)
        print(f"{name}: task1 {first:.2f} %, task2 {second:.2f} %")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
