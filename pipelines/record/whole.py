"""Models with nothing to do, told by the times of all their files: a run needn't read them.

Where the seal says that something changed, this says in which models. It holds what the seal does,
a model at a time: whoever writes a seal of all models (pipelines.front.doit.sealing) writes this
too, and NPUMAKE_NO_SEAL turns off both. What is common to all must be as it was, or no model is
whole.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.files.shelf import Shelf
from pipelines.record import seal

FILE = ".npumake/whole.txt"
_FORM = f"{seal.FORM}.1"


@dataclass(frozen=True)
class Whole:
    """What was held of a model when all its steps were up to date.

    paths: all that decides of it or is made of it, sorted; state: digest of their stamps.
    needs: models whose outputs it reads. registry: digest of what the root dvc.yaml tells of it.
    told: what the report says of it when there is nothing to do (pipelines.report.rows.Told).
    """

    paths: list[str]
    state: str
    needs: list[str]
    registry: str
    told: dict[str, Any]


@dataclass(frozen=True)
class Memory:
    """models: what was held of each. common: paths that decide of all. objects: cache folders.

    stamps: of all paths that were looked at, as seal.packed.
    """

    models: Mapping[str, Whole]
    common: Sequence[str]
    objects: Sequence[str]
    stamps: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    def unchanged(self, root: Path) -> dict[str, Whole]:
        """The models that are whole now, and read no output of one that is not."""
        found = {
            name: held
            for name, held in self.models.items()
            if self._state(root, held.paths) == held.state
        }
        while lost := [name for name, held in found.items() if not found.keys() >= {*held.needs}]:
            for name in lost:
                del found[name]
        return found

    def _state(self, root: Path, paths: Sequence[str]) -> str:
        return seal.state_of(_stamped(root, paths, self.stamps))


def read(root: Path) -> Memory | None:
    """What the last clean run of all models held; None where what is common has changed."""
    if os.environ.get(seal.OFF):
        return None
    try:
        shelf = Shelf(root / FILE, _FORM)
        data = shelf.get("")
        if data is None or data["environment"] != seal.environment():
            return None
        if any(seal.names(f"{root}/{folder}") != held for folder, held in data["folders"].items()):
            return None
        if seal.is_busy(str(root)):
            return None
        models = {name: Whole(**shelf.get(name)) for name in shelf if name}
        memory = Memory(models, data["common"], data["objects"])
        stamps = _stamped(root, [*memory.common, *memory.objects], memory.stamps)
        return memory if seal.state_of(stamps) == data["state"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or damaged
        return None


def write(
    root: Path, memory: Memory, folders: Mapping[str, list[str]], spared: Collection[str]
) -> None:
    """Keep it. folders: folder -> its names; they decide of all. Of each path there is a stamp.

    spared: models that were read from here, and are kept as they stand.
    """
    common = [*memory.common, *memory.objects]
    shelf = Shelf(root / FILE, _FORM)
    data = {
        "environment": seal.environment(),
        "folders": folders,
        "common": memory.common,
        "objects": memory.objects,
        "state": seal.state_of(memory.stamps[path] for path in common),
    }
    shelf.keep(spared)
    shelf.put("", data)
    for name, held in memory.models.items():
        if name not in spared:
            shelf.put(name, vars(held))
    shelf.save()


def _stamped(root: Path, paths: Sequence[str], stamps: dict[str, bytes]) -> list[bytes]:
    """Each path's stamp; those not in `stamps` yet are asked for."""
    unknown = [path for path in paths if path not in stamps]
    stamps |= {path: seal.SEEN[path] for path in unknown if path in seal.SEEN}
    if unasked := [path for path in unknown if path not in stamps]:
        stamps |= zip(unasked, seal.stamps_of(str(root), unasked), strict=True)
    return [stamps[path] for path in paths]
