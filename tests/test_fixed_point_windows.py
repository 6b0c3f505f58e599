"""The windows of convolutions are what NumPy's own functions give, value for value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quant.fixed_point.network.windows import windows

SEEDS = range(200)


@pytest.mark.parametrize("seed", SEEDS)
def test_they_are_numpys(seed: int) -> None:
    random = np.random.default_rng(seed)
    kernel, dilations, strides = (random.integers(1, 4, 2).tolist() for _ in range(3))
    top, left, bottom, right = pads = random.integers(0, 3, 4).tolist()
    spread = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    height, width = (side + int(random.integers(0, 6)) for side in spread)
    x = random.integers(-128, 128, (2, 3, width, height)).transpose(0, 1, 3, 2)
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-7)
    slide: Any = np.lib.stride_tricks.sliding_window_view  # NumPy's types know one axis alone
    slid = slide(padded, spread, axis=(2, 3))
    expected = slid[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]
    np.testing.assert_array_equal(windows(x, kernel, strides, pads, dilations, -7), expected)


@pytest.mark.parametrize(("kernel", "stride"), [([4, 1], 1), ([1, 4], 5), ([5, 5], 1)])
def test_a_window_larger_than_all_is_refused(kernel: list[int], stride: int) -> None:
    x = np.zeros((1, 1, 3, 3), np.int8)
    with pytest.raises(ValueError, match="larger than what it reads"):
        windows(x, kernel, [stride, stride], [0] * 4, [1, 1], 0)
