"""Versions in toolchains' names: what is known of one stands for another that is not known yet."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAMED = re.compile(r"(?P<family>[a-z]+)-(?P<version>\d+(?:\.\d+)*)(?:-(?P<extra>[a-z]+))?")


def parts(name: str) -> tuple[str, str, str] | None:
    """`rknn-2.5.0-torch` -> rknn, 2.5.0, torch; the last is empty where there is none."""
    match = _NAMED.fullmatch(name)
    return None if match is None else (match["family"], match["version"], match["extra"] or "")


def order(version: str) -> tuple[int, ...]:
    """By which versions are sorted: 2.10.0 comes after 2.9.1."""
    return tuple(int(word) for word in version.split("."))


def nearest(version: str, known: Iterable[str]) -> str:
    """The newest of `known`, not empty, that is not newer than `version`; else the oldest."""
    ordered = sorted(known, key=order)
    earlier = [each for each in ordered if order(each) <= order(version)]
    return earlier[-1] if earlier else ordered[0]


def relative(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` whose name differs in its version alone, and that is nearest.

    `rknn-2.6.0` has `rknn-2.5.0`; `rknn-2.6.0-torch` only `rknn-2.5.0-torch`.
    """
    told = parts(name)
    if told is None:
        return None
    family, version, extra = told
    others = {each: parts(each) for each in known}
    alike = {
        other[1]: each
        for each, other in others.items()
        if other is not None and (other[0], other[2]) == (family, extra)
    }
    return alike[nearest(version, alike)] if alike else None
