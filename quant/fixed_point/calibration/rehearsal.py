"""A few samples run in whole numbers while the network is lowered, operation by operation.

What a layer reads is then known as it will be, with all that rounding and clipping did before it;
what that adds on average the layer takes off its own bias.
Source: Nagel et al., 2019, arXiv:1906.04721, section 4.2 ("empirical bias correction"), in the
order of the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fixed_point.network import reference
from quant.fixed_point.network.network import (
    INT8_HIGH,
    INT8_LOW,
    UINT8_HIGH,
    Convolution,
    IndexInput,
    Integers,
    Operation,
    RealInput,
    Tensor,
)

Array = NDArray[Any]

_AT_ONCE = 1 << 17  # elements of windows


@dataclass(frozen=True)
class Rehearsed:
    """samples: inputs by name. means: float tensor -> mean of each of its channels over them."""

    samples: Sequence[Mapping[str, Array]] = ()
    means: Mapping[str, Sequence[float]] | None = None


class Rehearsal:
    """The samples' codes so far. Without samples it does nothing."""

    def __init__(self, given: Rehearsed) -> None:
        self._given = given
        self._codes: list[dict[str, Array]] = [{} for _ in given.samples]

    def start(self, given: RealInput | IndexInput, tensor: Tensor) -> None:
        """An input of the network."""
        for codes, sample in zip(self._codes, self._given.samples, strict=True):
            value = sample[given.name]
            if isinstance(given, RealInput):
                value = reference.quantize(value, given.input_scale, given.name, tensor.limits)
            codes[tensor.name] = _small(value, tensor)

    def step(self, tensors: Mapping[str, Tensor], operation: Operation) -> None:
        """The next operation. tensors: its output's too."""
        if isinstance(operation, Convolution):
            self._convolve(tensors, operation)
            return
        for codes in self._codes:
            # A convolution takes codes as they are; elsewhere, products of them pass int8.
            made = reference.compute(tensors, operation, _Wide(codes))
            codes[operation.output] = _small(made, tensors[operation.output])

    def _convolve(self, tensors: Mapping[str, Tensor], operation: Convolution) -> None:
        """Several samples at once where they are small: what one alone takes is NumPy's calls."""
        for some in _portions(self._codes, tensors[operation.x], operation):
            read = {operation.x: np.concatenate([codes[operation.x] for codes in some])}
            made = _small(reference.compute(tensors, operation, read), tensors[operation.output])
            for codes, part in zip(some, np.split(made, len(some)), strict=True):
                codes[operation.output] = part

    def drift(self, source: str, tensor: Tensor, axis: int) -> NDArray[np.float64] | None:
        """Codes' reals less the float tensor `source`, the mean of each channel; None if unknown.

        axis: where the channels are.
        """
        expected = (self._given.means or {}).get(source)
        if expected is None or tensor.scale is None or len(expected) != tensor.shape[axis]:
            return None
        others = tuple(i for i in range(len(tensor.shape)) if i != axis % len(tensor.shape))
        found = [codes[tensor.name].mean(axis=others, dtype=np.float64) for codes in self._codes]
        drift: NDArray[np.float64] = np.mean(found, axis=0) / float(tensor.scale) - expected
        return drift


def _portions(
    codes: Sequence[dict[str, Array]], x: Tensor, operation: Convolution
) -> Iterator[Sequence[dict[str, Array]]]:
    """Of the samples, as many together as fit into the processor's cache with their windows."""
    elements = math.prod(x.shape) * math.prod(operation.weight.shape[2:])
    count = max(1, _AT_ONCE // max(1, elements))
    return (codes[i : i + count] for i in range(0, len(codes), count))


class _Wide(Mapping[str, Integers]):
    """Codes as int64, one tensor at a time."""

    def __init__(self, codes: Mapping[str, Array]) -> None:
        self._codes = codes

    def __getitem__(self, name: str) -> Integers:
        return self._codes[name].astype(np.int64)

    def __iter__(self) -> Any:
        return iter(self._codes)

    def __len__(self) -> int:
        return len(self._codes)


def _small(values: Array, tensor: Tensor) -> Array:
    """An eighth of the memory, where the tensor's bounds allow it."""
    if tensor.low >= INT8_LOW and tensor.high <= INT8_HIGH:
        return values.astype(np.int8)
    is_byte = tensor.low >= 0 and tensor.high <= UINT8_HIGH
    return values.astype(np.uint8 if is_byte else np.int64)
