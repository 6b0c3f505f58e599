"""What is wrong with what was handed in, and what to do about it."""

from __future__ import annotations


class Fault(ValueError):
    """The message is `what`, then `advice` on its own lines; both are kept apart for callers."""

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__("\n  ".join([what, *advice.splitlines()]))
        self.what = what
        self.advice = advice
