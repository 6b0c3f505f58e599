"""A job's own error: it says what is wrong and what to do, so no traceback is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quant.fault import Fault


class Refusal(Fault):
    """A job can't go on.

    cure: options of the SDK's config, by their own names, that may get by it.
    """

    def __init__(self, what: str, advice: str = "", cure: Mapping[str, Any] | None = None) -> None:
        super().__init__(what, advice)
        self.cure = dict(cure or {})
