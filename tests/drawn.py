"""Values that a seed gives: text, numbers, and lists and dictionaries of them, odd ones often.

Hypothesis takes five to ten times as long to draw such values as the tests take to use them, so it
draws seeds alone.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Draw = Callable[[Random], Any]

# Where encodings, escapes and line breaks begin and end; none of it a half of a surrogate pair.
_EDGES = (
    *"\0\x01\t\n\r\x1b\x1f !\"#'-:?[{~\x7f\x80\x85\x9f\xa0\xad\xff\u0130\u07ff\u0800\u2028\u2029",
    *"\ud7ff\ue000\ufdd0\ufeff\ufffd\ufffe\uffff\U00010000\U0001f600\U0010ffff",
)
_FLOATS = (
    *(0.0, -0.0, 1.0, -1.5, 0.1, 1e-7, 1e16, 1e17, 1e300, 5e-324, -5e-324, math.pi),
    *(sys.float_info.max, -sys.float_info.max, sys.float_info.min, math.inf, -math.inf),
)


def text(least: int, most: int, alphabet: str = "") -> Draw:
    """By default of any characters."""

    def draw(random: Random) -> str:
        count = random.randint(least, most)
        if alphabet:
            return "".join(random.choices(alphabet, k=count))
        return "".join(_character(random) for _ in range(count))

    return draw


def _character(random: Random) -> str:
    kind = random.random()
    if kind < 0.5:
        return chr(random.randrange(32, 127))
    if kind < 0.75:
        return str(random.choice(_EDGES))
    code = random.randrange(sys.maxunicode + 1 - 0x800)
    return chr(code if code < 0xD800 else code + 0x800)


def integer(random: Random) -> int:
    return random.choice((-1, 1)) * random.getrandbits(random.choice((1, 4, 8, 16, 33, 64, 80)))


def boolean(random: Random) -> bool:
    return random.random() < 0.5


def nothing(_: Random) -> None:
    return None


def finite_or_infinite(random: Random) -> float:
    if random.random() < 0.4:
        return random.choice(_FLOATS)
    found: float = struct.unpack("d", random.randbytes(8))[0]
    return random.uniform(-1000, 1000) if math.isnan(found) or random.random() < 0.3 else found


def real(random: Random) -> float:
    """Or none: NaN too."""
    return math.nan if random.random() < 0.05 else finite_or_infinite(random)


def sampled(values: Sequence[Any]) -> Draw:
    return lambda random: random.choice(values)


def one_of(*draws: Draw) -> Draw:
    return lambda random: random.choice(draws)(random)


def listed(draw: Draw, least: int, most: int) -> Draw:
    return lambda random: [draw(random) for _ in range(random.randint(least, most))]


def mapping(keys: Draw, values: Draw, least: int, most: int) -> Draw:
    """least: keys that are drawn; they may be the same."""
    return lambda random: {keys(random): values(random) for _ in range(random.randint(least, most))}


def tree(leaf: Draw, keys: Draw, most: int, depth: int = 4) -> Draw:
    """Leaves, lists and dictionaries of up to `most`, in each other to this depth."""
    if depth == 0:
        return leaf
    inner = tree(leaf, keys, most, depth - 1)
    nested = one_of(listed(inner, 0, most), mapping(keys, inner, 0, most))
    return lambda random: (leaf if random.random() < 0.5 else nested)(random)
