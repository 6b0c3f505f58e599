"""What build.json tells of each operation."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from quant.fixed_point.network.network import Network, Operation, Rescale, reads
from quant.fixed_point.network.scales import power_of_two


def layers(network: Network) -> list[dict[str, Any]]:
    """In the network's order: op, tensor, shift, weight_exponent, scale."""
    return [_layer(network, operation) for operation in network.operations]


def _layer(network: Network, operation: Operation) -> dict[str, Any]:
    rescale: Rescale | None = getattr(operation, "rescale", None)
    scale = network.tensors[operation.output].scale
    ratio = _ratio(network, operation)
    told = {
        "op": type(operation).__name__,
        "tensor": operation.output,
        "shift": None if rescale is None else _plain(rescale.shift),
        "weight_exponent": None,
        "scale": None if scale is None else str(scale),
    }
    if rescale is None or ratio is None:
        return told
    power = power_of_two(ratio)
    if power is not None:
        return {**told, "weight_exponent": _plain(rescale.shift + power)}
    if rescale.multiplier is not None:
        return told
    return {**told, "weight_scale": _plain(float(ratio) * np.exp2(rescale.shift))}


def _ratio(network: Network, operation: Operation) -> Fraction | None:
    """S_y / S_x of an operation with weights: S_x times what these are multiplied by is S_y * 2^n.

    What the shift n and the scales leave for the weights is 2^f, or any number.
    """
    x, y = (network.tensors[name].scale for name in (reads(operation)[0], operation.output))
    if not hasattr(operation, "weight") or x is None or y is None:
        return None
    return y / x


def _plain(values: ArrayLike) -> Any:
    """One number where all are the same, else the list of them."""
    flat = np.asarray(values).ravel().tolist()
    return flat[0] if len(set(flat)) == 1 else flat
