"""What the SDK leaves of its own memory in an .rknn, cleared: the same input gives the same file.

The compiler writes structures that it never filled, and constants from buffers shorter than what
it copies. What stood there before goes into the file: addresses, pieces of text, other tensors.
Measured with 2.5.0 and 2.3.2 by building 8 networks in processes of other addresses, paths and
fills of fresh memory: each kind of place that is cleared was seen to change by itself, so that it
can't mean anything. MALLOC_PERTURB_ (see pipelines.run.worker) settles what comes from fresh
memory.

In version 0x1004 operators' attributes are never filled, and a field that happens to be 0 is left
out, so that the file's length varies: those builds need a process with ENVIRONMENT.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from quant.rknn import bias as rknn_bias
from quant.rknn.file import RknnFile, Tensor, parse
from quant.rknn.flatbuffer import number
from quant.rknn.parts import VERSION_1004

# What glibc keeps in its cache of a thread is not filled by MALLOC_PERTURB_. Elsewhere the SDK dies
# without that cache.
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
# Root field 2, subgraphs; of one, 8 and 9 (6 and 7 in version 0x1004): what an input is given,
# whose field 1 are tasks. By the NPU: of a task, the field and which of its two u32 were never
# filled.
_GIVEN, _TASKS_OF, _TASKS = 8, 9, 1
_BOTH = (0, 4)
_LEFT: dict[str, dict[int, dict[int, tuple[int, ...]]]] = {
    "rk3588": {_GIVEN: {2: _BOTH}, _TASKS_OF: {6: _BOTH, 7: _BOTH, 8: _BOTH, 11: (0,), 12: (0,)}},
    "rk3566": {_TASKS_OF: dict.fromkeys(range(5, 10), _BOTH)},
    "rk3576": {_TASKS_OF: {11: (0,), 12: (0,)}},
}
_LEFT |= {"rk3568": _LEFT["rk3566"], "rv1126b": _LEFT["rk3576"]}
_PLAIN, _B_FORMS = ("rv1103", "rv1106"), ("rv1103b", "rv1106b")
_LEFT |= {platform: {6: {2: _BOTH}} for platform in _PLAIN}
_LEFT |= {platform: {7: dict.fromkeys(range(6, 10), _BOTH)} for platform in _B_FORMS}
# Of the header in version 0x1004: the high halves of u64 that hold u32, and three addresses. 2.3.2
# leaves one more, of a library, where other versions have a 1.
_HEADER_LEFT = ((24, 48), (52, 56))
_HEADER_ADDRESS = 56
_HALF_BYTES = 4

_ITEM_BYTES = {"INT8": 1, "INT16": 2, "FLOAT16": 2}
# Constants of the compiler that are copied from buffers of their stored shape, but as longer ones.
_TOO_LONG = re.compile(
    r"cfgTensor$|^fenceConv_|^tempMC\d+_|rs_weight$|_ReduceMax_output_weight_0_\d+_1_1_1$"
)
# Weights of one channel, stored as two.
_ONE_OF_TWO = re.compile(r"_weight_0int8_1_1_1_1$")


def environment(platform: str) -> dict[str, str]:
    """What the process that builds for a platform must start with."""
    return ENVIRONMENT if platform in (*_PLAIN, *_B_FORMS) else {}


def cleared(data: bytes, platform: str) -> bytes:
    """The file with zeros there. data: of an .rknn. Raises Fault where it is none."""
    file = parse(data, "model.rknn")
    clean = bytearray(data)
    for start, end in (*_header(file), *_fields(file, platform), *_tails(file), *_shifts(file)):
        clean[start:end] = bytes(end - start)
    return bytes(clean)


def _header(file: RknnFile) -> Iterator[tuple[int, int]]:
    if file.version == VERSION_1004:
        yield from _HEADER_LEFT
        if number(file.data, _HEADER_ADDRESS, "<Q") >= 1 << 32:
            yield _HEADER_ADDRESS, _HEADER_ADDRESS + 8


def _fields(file: RknnFile, platform: str) -> Iterator[tuple[int, int]]:
    left = _LEFT.get(platform, {})
    for subgraph in file.root.tables(2):
        for index, fields in left.items():
            tasks = (task for given in subgraph.tables(index) for task in given.tables(_TASKS))
            for task in tasks:
                for field, halves in fields.items():
                    place = task.field(field)
                    if place is not None:
                        yield from ((place + h, place + h + _HALF_BYTES) for h in halves)


def _tails(file: RknnFile) -> Iterator[tuple[int, int]]:
    for tensor in (tensor for tensors in file.tensors for tensor in tensors):
        if tensor.size_bytes and tensor.dtype in _ITEM_BYTES and tensor.stored_shape:
            filled = _filled_bytes(tensor)
            if filled < tensor.size_bytes:
                yield tensor.offset + filled, tensor.offset + tensor.size_bytes


def _shifts(file: RknnFile) -> Iterator[tuple[int, int]]:
    for tensor in (tensor for tensors in file.tensors for tensor in tensors):
        if file.version == VERSION_1004 and rknn_bias.is_in_blocks(tensor):
            yield rknn_bias.unfilled(tensor)


def _filled_bytes(tensor: Tensor) -> int:
    """How many bytes of a constant the compiler filled; all where that is not known."""
    stored = math.prod(tensor.stored_shape) * _ITEM_BYTES[tensor.dtype]
    if _TOO_LONG.search(tensor.name) and 0 < stored < tensor.size_bytes:
        return stored
    if _ONE_OF_TWO.search(tensor.name) and stored == tensor.size_bytes:
        return stored // tensor.stored_shape[-2]
    return tensor.size_bytes
