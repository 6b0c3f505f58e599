"""Draw the synthetic shop that the network is trained and tested on, and write data/*.npy.

    python models/mmoe/make_data.py

A visitor sees an item at some hour. Two things are asked: is it clicked (task1), and is it bought
later (task2)? Both hang on how the item's genres meet the visitor's taste; the price and the
visitor's purse matter more for the second. One answer in seven is turned over by chance, which no
network can foresee: 86 % right is the most that there is to reach.

Every draw is seeded, and what is written is rounded to 1/1024, so that two machines whose sine or
tanh differ in the last place write the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
GENRES = 6
FLAGS = 6  # 0 or 1: member, newsletter, phone ...
LEVELS = 4  # 0, 0.5 .. 2: purse, visits, age, stars given
ITEMS, CATEGORIES, HOURS = 160, 16, 8
IDS = ITEMS + CATEGORIES + HOURS  # one table for the three fields of `item`
TURNED_OVER = 1 / 7
TRAINING, CALIBRATION, TEST = 200_000, 200, 2000


@dataclass(frozen=True)
class Visits:
    """user: float32 [N, 16]: tastes, flags, levels. item: int64 [N, 3]: item, category, hour, each
    an id below IDS. clicked, bought: int64 [N], 0 or 1."""

    user: np.ndarray
    item: np.ndarray
    clicked: np.ndarray
    bought: np.ndarray


class Shop:
    """What is fixed about the items, the hours and people's ways."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.category = random.integers(0, CATEGORIES, ITEMS)
        genres = random.normal(size=(CATEGORIES, GENRES))
        own = random.normal(size=(ITEMS, GENRES))
        self.genres = 0.5 * genres[self.category] + 0.4 * own
        self.quality = random.normal(size=ITEMS)
        self.price = random.uniform(0, 2, ITEMS)
        self.hour = random.normal(size=HOURS)
        self.flags = random.normal(size=(2, FLAGS))

    def visits(self, count: int, seed: int) -> Visits:
        random = np.random.default_rng(seed)
        taste = np.round(1024 * random.normal(size=(count, GENRES)).clip(-3, 3)) / 1024
        flags = random.integers(0, 2, (count, FLAGS)).astype(np.float64)
        levels = random.integers(0, 5, (count, LEVELS)) / 2
        item, hour = random.integers(0, ITEMS, count), random.integers(0, HOURS, count)
        clicked, bought = self._wishes(taste, flags, levels, item, hour)
        turned = random.random((2, count)) < TURNED_OVER
        ids = [item, ITEMS + self.category[item], ITEMS + CATEGORIES + hour]
        return Visits(
            np.concatenate([taste, flags, levels], axis=1).astype(np.float32),
            np.stack(ids, axis=1).astype(np.int64),
            ((clicked > 0) ^ turned[0]).astype(np.int64),
            ((bought > 0) ^ turned[1]).astype(np.int64),
        )

    def _wishes(
        self,
        taste: np.ndarray,
        flags: np.ndarray,
        levels: np.ndarray,
        item: np.ndarray,
        hour: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Above 0: would click, would buy."""
        purse, visits, age, stars = levels.T
        match = np.tanh((taste * self.genres[item]).sum(axis=1))
        mood = (flags - 0.5) @ self.flags.T
        expensive = self.price[item] - purse
        clicked = 1.2 * match + self.quality[item] + self.hour[hour] * (visits - 1) + mood[:, 0]
        bought = match + self.quality[item] * (stars - 0.5) - expensive + 0.7 * mood[:, 1]
        return clicked, bought + 0.5 * (age - 1)


def training() -> Visits:
    return Shop(seed=0).visits(TRAINING, seed=1)


def test() -> Visits:
    return Shop(seed=0).visits(TEST, seed=2)


def main() -> None:
    data = HERE / "data"
    data.mkdir(exist_ok=True)
    known, unknown = training(), test()
    np.save(data / "calibration_user.npy", known.user[:CALIBRATION])
    np.save(data / "calibration_item.npy", known.item[:CALIBRATION])
    np.save(data / "test_user.npy", unknown.user)
    np.save(data / "test_item.npy", unknown.item)
    np.save(data / "test_task1.npy", unknown.clicked)
    np.save(data / "test_task2.npy", unknown.bought)


if __name__ == "__main__":
    main()
