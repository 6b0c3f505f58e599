"""What build.json tells of each operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from quant.fixed_point.network import Integers, Network, Operation, Rescale, reads
from quant.fixed_point.scales import power_of_two


def layers(network: Network) -> list[dict[str, Any]]:
    """In the network's order: op, tensor, shift, weight_exponent, scale."""
    return [_layer(network, operation) for operation in network.operations]


def _layer(network: Network, operation: Operation) -> dict[str, Any]:
    rescale: Rescale | None = getattr(operation, "rescale", None)
    scale = network.tensors[operation.output].scale
    told = {
        "op": type(operation).__name__,
        "tensor": operation.output,
        "shift": None if rescale is None else _plain(rescale.shift),
        "weight_exponent": _weight_exponent(network, operation, rescale),
        "scale": None if scale is None else str(scale),
    }
    weight_scale = _weight_scale(network, operation, rescale)
    return told if weight_scale is None else {**told, "weight_scale": weight_scale}


def _weight_exponent(
    network: Network, operation: Operation, rescale: Rescale | None
) -> int | list[int] | None:
    """f of weights * 2^f: what the shift and the scales leave, S_x * 2^f = S_y * 2^n."""
    x, y = (network.tensors[name].scale for name in (reads(operation)[0], operation.output))
    if rescale is None or not hasattr(operation, "weight") or x is None or y is None:
        return None
    power = power_of_two(y / x)
    return None if power is None else _plain(rescale.shift + power)


def _weight_scale(
    network: Network, operation: Operation, rescale: Rescale | None
) -> float | list[float] | None:
    """What weights were multiplied by, where that is no power of two."""
    x, y = (network.tensors[name].scale for name in (reads(operation)[0], operation.output))
    if rescale is None or not hasattr(operation, "weight") or x is None or y is None:
        return None
    if power_of_two(y / x) is not None or rescale.multiplier is not None:
        return None
    scales = (float(y / x) * np.exp2(rescale.shift)).ravel().tolist()
    return float(scales[0]) if len(set(scales)) == 1 else [float(one) for one in scales]


def _plain(values: Integers) -> int | list[int]:
    flat = np.asarray(values).ravel().tolist()
    return int(flat[0]) if len(set(flat)) == 1 else [int(one) for one in flat]
