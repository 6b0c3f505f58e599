"""How much of the data an input's scale cannot hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fixed_point.network.network import Network, RealInput

_TOLD = 0.01  # of the elements; single far ones are better clipped than kept


def clipped_inputs(
    network: Network, samples: Sequence[Mapping[str, NDArray[Any]]]
) -> Iterator[str]:
    """A sentence for each input of which more than a few elements do not fit into int8."""
    for given in network.inputs:
        if not isinstance(given, RealInput) or not samples:
            continue
        scale, limits = float(given.input_scale), network.tensors[given.tensor].limits
        beyond = [_is_beyond(sample[given.name] * scale, limits) for sample in samples]
        share = float(np.mean(beyond))
        if share > _TOLD:
            most = f"{limits[1] / scale:g}, the most at input_scale {scale:g}"
            yield (
                f"input `{given.name}`: {share:.1%} of the data lies beyond {most}; "
                "a smaller one keeps it"
            )


def _is_beyond(codes: NDArray[Any], limits: tuple[int, int]) -> NDArray[np.bool_]:
    """limits: of 8 bits; the sign's own last place, -128, counts as beyond."""
    most = limits[1] + 0.5
    beyond: NDArray[np.bool_] = (codes > most) | (codes < (-0.5 if limits[0] == 0 else -most))
    return beyond
