"""models/NAME: the network's copy, its data's and the recipe, there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from pipelines.files import atomic
from pipelines.recipe.new.data import Data
from pipelines.recipe.new.network import Network
from quant.fault import Fault

RECIPE = "recipe.yaml"


def require_free(folder: Path, network: Network, name: str) -> None:
    """Raises Fault where the model is there, or a folder that is not the network's own."""
    if (folder / RECIPE).exists():
        raise Fault(f"{name}/{RECIPE} is there already", "take another name, or edit that one")
    if folder.exists() and network.folder != folder.resolve():
        raise Fault(
            f"{name} is there already, and the network is not in it",
            "take another name, or put the network there",
        )


def write(
    folder: Path, network: Network, data: Data | None, sides: Iterable[str], recipe: str
) -> None:
    """A network that is in the folder already stays as it is; one from elsewhere is copied."""
    if folder.exists():
        if data:
            _require_free_places(folder, data)
            data.copy(folder)
        atomic.write(folder / RECIPE, recipe.encode())
        return
    folder.parent.mkdir(exist_ok=True)
    new = folder.with_name(f".new-{os.getpid()}-{folder.name}")  # no model: its name has a dot
    try:
        new.mkdir()
        _copy(network, new, sides)
        if data:
            data.copy(new)
        (new / RECIPE).write_text(recipe, encoding="utf-8")
        os.rename(new, folder)  # noqa: PTH104 - fails where a folder came meanwhile
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _require_free_places(folder: Path, data: Data) -> None:
    places = [*data.copies, *data.text]
    there = [
        place
        for place in places
        if (folder / place).exists() and data.copies.get(place) != folder / place
    ]
    if there:
        raise Fault(
            f"{there[0]} is there already, and data would be copied there",
            "move it away, or name the data that is meant with --data",
        )


def _copy(network: Network, folder: Path, sides: Iterable[str]) -> None:
    if network.path.is_dir():
        shutil.copytree(network.path, folder / network.path.name)
        return
    for file in (network.path, *network.modules):
        shutil.copyfile(file, folder / file.name)
    for side in sides:
        place = folder / side
        if not place.resolve().is_relative_to(folder.resolve()):
            raise Fault(
                f"{network.path.name} keeps weights in `{side}`, outside its folder",
                "save it again with its weights beside it or inside it",
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(network.folder / side, place)
