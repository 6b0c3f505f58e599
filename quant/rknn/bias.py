"""Biases of the b forms (rv1103b, rv1106b): blocks of 8 channels with the channels' scales.

A block has 56 bytes: of 4 channels 4 i32 and 4 u16 multipliers, 8 i8 shifts, the other 4 channels.
Measured with 2.5.0.
"""

from __future__ import annotations

from quant.rknn.file import Tensor

_CHANNELS, _BYTES, _SHIFTS = 8, 56, 24
SCALE_BYTES = 3
"""Of a channel: its multiplier and its shift."""


def is_in_blocks(tensor: Tensor) -> bool:
    """Whether the tensor is such a bias; those of other platforms are longer."""
    if tensor.dtype != "INT32" or len(tensor.shape) != 1:
        return False
    blocks = -(-tensor.shape[0] // _CHANNELS)
    return tensor.stored_shape == (blocks * _BYTES // 4,)


def unfilled(tensor: Tensor) -> tuple[int, int]:
    """Where the shifts of channels that the last block lacks stand, from and to."""
    blocks, last = divmod(tensor.shape[0], _CHANNELS)
    if not last:
        return 0, 0
    start = tensor.offset + blocks * _BYTES + _SHIFTS
    return start + last, start + _CHANNELS
