"""The known name that a wrong one was most likely meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MOST = 24  # names that an answer lists


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The most similar known name, or None where none is similar. Upper and lower case are one."""
    by_lower = {k.lower(): k for k in known}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], noun: str = "known names") -> str:
    """Advice for an unknown name: the nearest known one, or some of them, as `noun: a, b`."""
    known = sorted(known)
    near = nearest(name, known)
    return f"did you mean `{near}`?" if near else f"{noun}: {_listed(known)}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more or "none"
