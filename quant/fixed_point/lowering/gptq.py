"""Weights rounded one tap after the other: what one loses, the taps after it make good.

Source: Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", 2022, arXiv:2210.17323, algorithm 1, with the taps in falling order of what they read
and the covariance in place of the second moments, as the bias takes the mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fixed_point.calibration.taps import Taps
from quant.fixed_point.network.network import INT8_HIGH, INT8_LOW, Integers


def round_weights(weight: NDArray[Any], units: NDArray[np.float64], taps: Taps) -> Integers:
    """int8 codes of weights times units, such that sums over what the taps read change little.

    weight: [channels, taps]. units: [channels]. Element by element alone, no matrix product: the
    codes are the same on every machine.
    """
    groups, count = taps.order.shape
    order = np.repeat(taps.order, len(weight) // groups, axis=0)
    ordered = np.take_along_axis(weight.astype(np.float64), order, axis=1)
    rest = ordered.T.reshape(count, groups, -1).copy()  # taps first: those that follow lie together
    unit = units.reshape(groups, -1)
    codes, shares = np.empty(rest.shape), np.empty(rest.shape)
    for i in range(count):
        code = np.rint(rest[i] * unit, out=codes[i])
        np.minimum(np.maximum(code, INT8_LOW, out=code), INT8_HIGH, out=code)
        row = taps.factor[:, i, i:].T.astype(np.float64)
        lost = (rest[i] - code / unit) / row[0, :, None]
        rest[i + 1 :] -= np.multiply(row[1:, :, None], lost, out=shares[i + 1 :])
    made = np.empty(weight.shape, np.int64)
    np.put_along_axis(made, order, codes.reshape(count, -1).T.astype(np.int64), axis=1)
    return made
