"""Checks of calibration, analysis and labelled data against the network's inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pipelines.files.where import Where, did_you_mean
from pipelines.recipe.define.sections import DATA_SOURCES
from pipelines.recipe.define.view import Values, View
from pipelines.recipe.yaml.reading import BAD
from pipelines.recipe.yaml.tree import Tree
from quant.samples import pixel_units


def check_analysis(view: View) -> None:
    """A count of samples needs samples."""
    analyze, data = view.section("analyze"), view.get("quantize", "calibration")
    if BAD in (analyze, data) or not analyze or has_source(analyze) or has_source(data):
        return
    what = "`analyze` has no data, and there is no calibration data to take instead"
    view.tree.add(view.key("analyze"), what, "add `images:`, `list:` or `npy:` to it")


def check_sources(view: View) -> None:
    """Calibration and analysis data fit the network's inputs."""
    for path in (("quantize", "calibration"), ("analyze",)):
        data = view.get(*path) if len(path) > 1 else view.section(*path)
        if data is BAD or not data:
            continue
        if data.get("images") not in (None, BAD):
            _check_images(view, view.where(*path, "images"))
        if data.get("npy") not in (None, BAD):
            place = partial(view.key, *path, "npy")
            check_npy(view.tree, view.recipe, data["npy"], view.where(*path, "npy"), place)


def _check_images(view: View, where: Where) -> None:
    """Images feed one input, which has a 4-D shape and a color order."""
    inputs = view.recipe.get("inputs")
    if inputs is BAD:
        return
    if not inputs:
        what = "images need the input's shape and color order"
        view.tree.add(
            where, what, "add `inputs: {NAME: {shape: [1, 3, HEIGHT, WIDTH], color: rgb}}`"
        )
        return
    if len(inputs) > 1:
        what = f"images feed one input; this model has {len(inputs)}"
        view.tree.add(where, what, f"use {_per_input(inputs)}, or list:")
        return
    name, given = next(iter(inputs.items()))
    place = view.tree.marks[f"inputs.{name}"]
    if given is BAD:
        return
    if given.get("shape") is None:
        what = f"input `{name}` is fed with images, and has no shape"
        view.tree.add(place, what, "add `shape: [1, 3, HEIGHT, WIDTH]`")
    if given.get("color") is None:
        what = f"input `{name}` is fed with images, and has no color order"
        view.tree.add(place, what, "add `color: rgb` (or bgr, or gray)")
    _check_units(view, name, given)


def _check_units(view: View, name: str, given: Values) -> None:
    """Images are pixels of 0 to 255, and so are the mean and std that the SDK applies to them."""
    if BAD in (given.get("mean"), given.get("std")):
        return
    mean, std = (_listed(given.get(key)) for key in ("mean", "std"))
    if not pixel_units.is_in_ones(mean, std):
        return
    key = "std" if std is not None else "mean"
    what = f"`{key}` is for data in 0 to 1, and images are pixels of 0 to 255"
    advice = f"in pixel units? write `{pixel_units.in_pixel_units(mean, std)}`"
    view.tree.add(view.tree.marks[f"inputs.{name}.{key}"], what, advice)


def _listed(given: Any) -> list[float] | None:
    """One number for all channels is a list of one."""
    return [given] if isinstance(given, int | float) else given


def check_npy(
    tree: Tree, recipe: Values, npy: Any, where: Where, place: Callable[[str], Where]
) -> None:
    """npy data names the network's inputs where there are several. place: input -> its key's."""
    inputs = recipe.get("inputs")
    if inputs is BAD or not inputs:
        return
    if not isinstance(npy, Mapping):
        if len(inputs) > 1:
            what = f"npy data must say which input it is for; this model has {len(inputs)}"
            tree.add(where, what, f"write {_per_input(inputs)}")
        return
    for name in npy:
        if name not in inputs:
            tree.add(place(name), f"no input `{name}`", did_you_mean(name, inputs, "inputs"))
    missing = [name for name in inputs if name not in npy]
    if missing and all(name in inputs for name in npy):
        what = f"no npy file for the input {', '.join(f'`{name}`' for name in missing)}"
        tree.add(where, what, f"write {_per_input(inputs)}")


def _per_input(inputs: Values) -> str:
    return "`npy: {" + ", ".join(f"{name}: FILE.npy" for name in inputs) + "}`"


def has_source(data: Any) -> bool:
    """Whether images, a list or npy files are named."""
    return bool(data) and any(data.get(key) is not None for key in DATA_SOURCES)
