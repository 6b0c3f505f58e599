"""Which layer each register command and each task of an .rknn belongs to.

The list of tasks holds the kernel driver's 40 bytes each: flags, operator's index, enable mask,
three interrupt masks, number and offset of commands, all u32, and a u64 place of the commands in
the list of commands. Source: struct rknpu_task, drivers/rknpu/include/rknpu_ioctl.h of Rockchip's
kernel. Several tasks, one a set of cores, may share commands.
"""

from __future__ import annotations

import itertools
import struct
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

TASK = struct.Struct("<8IQ")


class CommandBytes(NamedTuple):
    """Layer -> bytes; None for what belongs to none."""

    commands: Mapping[int | None, int]
    tasks: Mapping[int | None, int]


def by_layer(tasks: bytes, commands_bytes: int, layers: int) -> CommandBytes:
    """Divide the lists. A layer's commands reach to the next ones, padding included."""
    rows = [TASK.unpack_from(tasks, i * TASK.size) for i in range(len(tasks) // TASK.size)]
    counted: Counter[int | None] = Counter()
    starts: dict[int, int | None] = {}
    for row in rows:
        layer = row[1] if row[1] < layers else None
        counted[layer] += TASK.size
        if row[8] < commands_bytes:
            starts.setdefault(row[8], layer)
    if rest := len(tasks) - len(rows) * TASK.size:
        counted[None] += rest
    if commands_bytes:
        starts.setdefault(0, None)
    places = [*sorted(starts), commands_bytes]
    held: Counter[int | None] = Counter()
    for start, end in itertools.pairwise(places):
        held[starts[start]] += end - start
    return CommandBytes(held, counted)
