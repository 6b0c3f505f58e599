"""The custom string that says where an .rknn comes from; see pipelines.backends.rknn.sdk.origin."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PREFIX = "npumake:"
_STAMP = re.compile(rf"{_PREFIX}([0-9a-f]{{64}})")
PLACEHOLDER = _PREFIX + 64 * "0"


def text_of(digest: str) -> str:
    """The custom string, as long as PLACEHOLDER."""
    return _PREFIX + digest


def digest_in(text: str) -> str | None:
    """The digest that a custom string holds; None for a text of the user's own."""
    found = _STAMP.fullmatch(text)
    return None if found is None or text == PLACEHOLDER else found[1]


def digest_of(facts: Mapping[str, Any]) -> str:
    """Whatever the order of the facts."""
    import hashlib  # OpenSSL takes longer to start than a file to be inspected

    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
