"""A job's own error: it says what is wrong and what to do, so no traceback is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """A job can't go on. `what` names the fault, `advice` what to do about it.

    cure: options of the SDK's config, by their own names, that may get by it.
    """

    def __init__(self, what: str, advice: str = "", cure: Mapping[str, Any] | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice
        self.cure = dict(cure or {})
