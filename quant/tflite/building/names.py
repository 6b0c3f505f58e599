"""Names for ONNX tensors, made from TFLite's."""

from __future__ import annotations

import re


class Names:
    """Gives each name once."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def fresh(self, wanted: str) -> str:
        """`wanted`, or with the first free number behind it."""
        name, number = wanted, 1
        while name in self.taken:
            name, number = f"{wanted}_{number}", number + 1
        self.taken.add(name)
        return name


def valid(name: str, index: int) -> str:
    """A TFLite tensor's name without what tools trip over.

    The converter joins the names of fused operators with `;`, up to hundreds of characters:
    the first of them, the last operator's, is kept.
    """
    first = name.split(";")[0]
    return re.sub(r"[^A-Za-z0-9_./:-]", "_", first) or f"tensor_{index}"
