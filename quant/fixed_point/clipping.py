"""How much of the data an input's scale cannot hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fixed_point.network import INT8_HIGH, Network, RealInput
from quant.fixed_point.scales import FULL_SCALE

_TOLD = 0.01  # of the elements; single far ones are better clipped than kept


def clipped_inputs(
    network: Network, samples: Sequence[Mapping[str, NDArray[Any]]]
) -> Iterator[str]:
    """A sentence for each input of which more than a few elements do not fit into int8."""
    for given in network.inputs:
        if not isinstance(given, RealInput) or not samples:
            continue
        scale = float(given.input_scale)
        beyond = [np.abs(sample[given.name]) * scale > FULL_SCALE for sample in samples]
        share = float(np.mean(beyond))
        if share > _TOLD:
            most = f"{INT8_HIGH / scale:g}, the most at input_scale {scale:g}"
            yield (
                f"input `{given.name}`: {share:.1%} of the data lies beyond {most}; "
                "a smaller one keeps it"
            )
