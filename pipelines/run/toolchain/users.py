"""Which checkouts use an environment: several share a folder of them (NPUMAKE_HOME)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipelines.files.engine import TOOLCHAINS


def notes(folder: Path) -> Path:
    """Beside the environment, which holds nothing but what was installed."""
    return folder.with_name(f"{folder.name}.used-by")


def pins_of(file: Path) -> str:
    """The part of an environment's name that stands for the pins in `file`."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def note(folder: Path, root: Path) -> None:
    """Remember that the checkout `root` uses the environment."""
    if root not in _noted(folder):
        with notes(folder).open("a", encoding="utf-8") as file:
            file.write(f"{root}\n")


def users(folder: Path) -> list[Path]:
    """The checkouts whose pins are still those that the environment was made from."""
    name, pins, _ = folder.name.rsplit("-", 2)
    files = ((root, root / TOOLCHAINS / f"{name}.txt") for root in _noted(folder))
    return [root for root, file in files if file.is_file() and pins_of(file) == pins]


def _noted(folder: Path) -> list[Path]:
    try:
        text = notes(folder).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [Path(line) for line in text.splitlines()]
