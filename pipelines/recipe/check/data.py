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
from quant.samples.images import pixel_units


def check_analysis(view: View) -> None:
    """A count of samples needs samples."""
    analyze, data = view.section("analyze"), view.get("quantize", "calibration")
    if BAD in (analyze, data) or not analyze or has_source(analyze) or has_source(data):
        return
    what = "`analyze` has no data, and there is no calibration data to take instead"
    view.tree.add(view.key("analyze"), what, "add `images:`, `list:`, `npy:` or `raw:` to it")


def check_sources(view: View) -> None:
    """Calibration and analysis data fit the network's inputs."""
    for path in (("quantize", "calibration"), ("analyze",)):
        data = view.get(*path) if len(path) > 1 else view.section(*path)
        if data is BAD or not data:
            continue
        if data.get("images") not in (None, BAD):
            _check_images(view, view.where(*path, "images"))
        for kind in ("npy", "raw"):
            if data.get(kind) not in (None, BAD):
                place = partial(view.key, *path, kind)
                where = view.where(*path, kind)
                check_files(view.tree, view.recipe, data[kind], where, place, kind)
        if data.get("raw") not in (None, BAD):
            _check_raw(view, view.where(*path, "raw"))


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
    if BAD in (given.get("mean"), given.get("std"), given.get("bits")):
        return
    mean, std = (_listed(given.get(key)) for key in ("mean", "std"))
    if not pixel_units.is_in_ones(mean, std):
        return
    key = "std" if std is not None else "mean"
    most = (1 << (given.get("bits") or 8)) - 1
    what = f"`{key}` is for data in 0 to 1, and images are pixels of 0 to {most}"
    advice = f"in pixel units? write `{pixel_units.in_pixel_units(mean, std, most)}`"
    view.tree.add(view.tree.marks[f"inputs.{name}.{key}"], what, advice)


def _listed(given: Any) -> list[float] | None:
    """One number for all channels is a list of one."""
    return [given] if isinstance(given, int | float) else given


def check_files(
    tree: Tree,
    recipe: Values,
    given: Any,
    where: Where,
    place: Callable[[str], Where],
    kind: str = "npy",
) -> None:
    """Data by files names the network's inputs where there are several.

    kind: npy or raw. place: input -> its key's.
    """
    inputs = recipe.get("inputs")
    if inputs is BAD or not inputs:
        return
    if not isinstance(given, Mapping):
        if len(inputs) > 1:
            what = f"{kind} data must say which input it is for; this model has {len(inputs)}"
            tree.add(where, what, f"write {_per_input(inputs, kind)}")
        return
    for name in given:
        if name not in inputs:
            tree.add(place(name), f"no input `{name}`", did_you_mean(name, inputs, "inputs"))
    missing = [name for name in inputs if name not in given]
    if missing and all(name in inputs for name in given):
        what = f"no {kind} file for the input {', '.join(f'`{name}`' for name in missing)}"
        tree.add(where, what, f"write {_per_input(inputs, kind)}")


def _check_raw(view: View, where: Where) -> None:
    """Every input says what its raw files hold."""
    inputs = view.recipe.get("inputs")
    if inputs is BAD:
        return
    if not inputs:
        what = "raw files tell nothing of themselves, and the recipe has no inputs"
        advice = "add `inputs: {NAME: {shape: [1, 3, HEIGHT, WIDTH], raw: {dtype: uint8}}}`"
        view.tree.add(where, what, advice)
    for name, given in (inputs or {}).items():
        if given is not BAD and given.get("raw") is None:
            what = f"input `{name}` is fed with raw files, and does not say what they hold"
            advice = "add `raw: {dtype: uint8, shape: [HEIGHT, WIDTH, 3]}`, or `raw: {frame: nv12}`"
            view.tree.add(view.tree.marks[f"inputs.{name}"], what, advice)


def _per_input(inputs: Values, kind: str = "npy") -> str:
    ending = "npy" if kind == "npy" else "bin"
    return f"`{kind}: {{" + ", ".join(f"{name}: FILE.{ending}" for name in inputs) + "}`"


def has_source(data: Any) -> bool:
    """Whether images, a list or npy files are named."""
    return bool(data) and any(data.get(key) is not None for key in DATA_SOURCES)
