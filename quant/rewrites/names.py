"""Names of the rules, from the files in their folders: none of them is imported, nor onnx."""

from __future__ import annotations

import re
from pathlib import Path

_PLACE = re.compile(r"^PLACE = (\d+)$", re.MULTILINE)


def _names(folder: str) -> tuple[str, ...]:
    """In the order of their PLACE, in which they are told and tried."""
    files = Path(__file__).parent.joinpath(folder).glob("*.py")
    places = {file.stem: _PLACE.search(file.read_text(encoding="utf-8")) for file in files}
    found = {name: int(place.group(1)) for name, place in places.items() if place}
    return tuple(sorted(found, key=lambda name: (found[name], name)))


NAMED, CUTS, ADAPTATIONS = map(_names, ("named", "cuts", "adaptations"))
REWRITES = (*NAMED, *CUTS)  # what a recipe may name
