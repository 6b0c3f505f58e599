"""The console script `npumake`. In the wheel this is npumake/__init__.py, beside engine/."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    """The engine's packages are not installed: only this process sees them."""
    sys.path.insert(0, str(Path(__file__).resolve().parent / "engine"))
    from pipelines.front.init import command

    return command.main(sys.argv[1:])
