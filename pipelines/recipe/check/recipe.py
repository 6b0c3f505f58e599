"""Checks of a recipe as a whole: names, source, inputs, labelled data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipelines.files.commands import COMMANDS
from pipelines.files.where import Where, did_you_mean
from pipelines.recipe.check.data import check_files
from pipelines.recipe.define.view import Values
from pipelines.recipe.yaml.reading import BAD, count
from pipelines.recipe.yaml.tree import Tree
from quant.rewrites.names import CUTS
from quant.samples.images.image_names import CHANNELS, DEFAULT_COLORS

_DIVIDE = "divide_outputs"
NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")


def check(tree: Tree, recipe: Values, folder: str) -> None:
    """Every check. folder: the name of the model's folder. Problems go to the tree."""
    check_model(tree, recipe, folder)
    check_target_names(tree, recipe)
    check_source(tree, recipe)
    check_inputs(tree, recipe)
    check_divide(tree, recipe)
    check_evaluate(tree, recipe)
    check_gates(tree, recipe)


def _value(tree: Tree, *path: str) -> Where:
    return tree.where(tree.nodes[".".join(path)])


def check_model(tree: Tree, recipe: Values, folder: str) -> None:
    name = recipe.get("model")
    if name is None or name is BAD:
        return
    where = _value(tree, "model")
    if name != folder:
        what = f"the model's name is `{name}`, its folder's `{folder}`"
        tree.add(where, what, f"write `model: {folder}`, or rename the folder")
    else:
        check_name(tree, where, "model", name)


def check_target_names(tree: Tree, recipe: Values) -> None:
    targets = recipe.get("targets")
    for name in {} if targets in (None, BAD) else targets:
        check_name(tree, tree.marks[f"targets.{name}"], "target", name)


def check_name(tree: Tree, where: Where, noun: str, name: str) -> None:
    """Names become doit tasks such as ultraface:build@rk3588, and folders."""
    if not NAME.fullmatch(name):
        what = f"`{name}` can't be the name of a {noun}"
        allowed = "a-z and 0-9, and between them also _ and -"
        plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")
        advice = f"use {allowed}" + (f", such as `{plain}`" if plain else "")
        tree.add(where, what, advice)
    elif name in COMMANDS:
        what = f"`{name}` is a command of doit, and can't be the name of a {noun}"
        tree.add(where, what, f"choose another name, such as `{name}-1`")


def check_source(tree: Tree, recipe: Values) -> None:
    """torch networks are exported by running them, so their inputs must be known."""
    source, inputs = recipe.get("source"), recipe.get("inputs")
    if source in (None, BAD) or inputs is BAD:
        return
    if source.get("exporter") == "dynamo" and "torchscript" in source:
        what = "the dynamo exporter can't read TorchScript"
        advice = "delete `exporter`, or name the Python source: `torch: FILE.py:FUNCTION`"
        tree.add(_value(tree, "source", "exporter"), what, advice)
    kind = next((kind for kind in ("torch", "torchscript") if kind in source), None)
    if kind is None:
        return
    if not inputs:
        what = f"a {kind} source needs the inputs that the network is run with"
        advice = "add `inputs: {NAME: {shape: [1, 3, HEIGHT, WIDTH]}}`, in the network's order"
        tree.add(tree.marks[f"source.{kind}"], what, advice)
    for name, given in (inputs or {}).items():
        if given is not BAD and given.get("shape") is None:
            what = f"input `{name}` has no shape, which a {kind} source needs"
            tree.add(tree.marks[f"inputs.{name}"], what, "add `shape: [1, 3, HEIGHT, WIDTH]`")


def check_inputs(tree: Tree, recipe: Values) -> None:
    inputs = recipe.get("inputs")
    for name, given in {}.items() if inputs in (None, BAD) else inputs.items():
        if given is not BAD:
            _check_image(tree, name, given)
            _check_channels(tree, name, given)


def check_divide(tree: Tree, recipe: Values) -> None:
    """divide_outputs and its factors go together, and nothing else cuts the network then."""
    told: Any = recipe.get("simplify")
    rewrites = told.get("rewrite") if isinstance(told, Mapping) else None
    if rewrites is BAD or rewrites is None:
        return
    if _DIVIDE not in rewrites:
        if "divide" in told:
            what = f"only the rewrite `{_DIVIDE}` reads `divide`"
            tree.add(tree.marks["simplify.divide"], what, f"add `{_DIVIDE}` to `rewrite`")
        return
    where = _value(tree, "simplify", "rewrite")
    if "divide" not in told:
        what = f"`{_DIVIDE}` is told nothing to divide"
        tree.add(where, what, "add `divide: {TENSOR: 256}`, of an output or what its Concat joins")
    for name in CUTS:
        if name != _DIVIDE and name in rewrites:
            what = f"`{_DIVIDE}` and `{name}` both end the network before its outputs"
            tree.add(where, what, "keep one of them")


def channels(given: Values) -> int | None:
    """Channels of an input: axis 1 of its shape, as the SDK counts them. None if unknown.

    The last axis, where that alone can be one of colors: a TFLite file loaded directly.
    """
    shape, color = given.get("shape"), given.get("color")
    if shape is not None and shape is not BAD:
        if len(shape) == 4 and shape[3] in DEFAULT_COLORS and shape[1] not in DEFAULT_COLORS:
            return int(shape[3])
        return shape[1] if len(shape) > 1 else 1
    return CHANNELS.get(color) if isinstance(color, str) else None


def _check_image(tree: Tree, name: str, given: Values) -> None:
    """An input with a color order is [batch, channels, height, width]."""
    shape, color = given.get("shape"), given.get("color")
    if given.get("resize") is not None and color is None:
        what = f"`resize` is for images, and input `{name}` has no color order"
        tree.add(tree.marks[f"inputs.{name}.resize"], what, "add `color: rgb` (or bgr, or gray)")
    if given.get("pad") is not None and given.get("resize") not in ("letterbox", None, BAD):
        what = f"`pad` has no effect with `resize: {given['resize']}`"
        tree.add(tree.marks[f"inputs.{name}.pad"], what, "delete it, or write `resize: letterbox`")
    _check_bits(tree, name, given)
    if color in (None, BAD) or shape in (None, BAD):
        return
    where, expected = _value(tree, "inputs", name, "shape"), CHANNELS[color]
    if len(shape) != 4:
        what = f"an image's shape has 4 lengths, not {len(shape)}"
        tree.add(where, what, f"write [1, {expected}, HEIGHT, WIDTH], or delete `color`")
    elif shape[1] != expected:
        what = f"`color: {color}` means {count(expected, 'channel')}; the shape has {shape[1]}"
        right = [shape[0], expected, *shape[1:3]] if shape[3] == expected else None
        advice = f"write the channels first: {right}" if right else "correct `shape` or `color`"
        tree.add(where, what, advice)


def _check_bits(tree: Tree, name: str, given: Values) -> None:
    """Deep images are gray ones, and their border has a value of its own."""
    bits, pad = given.get("bits"), given.get("pad")
    if BAD in (bits, pad):
        return
    most = 255 if bits is None else (1 << bits) - 1
    if pad is not None and pad > most:
        advice = f"write 0 to {most}" + (
            "" if bits else ", or `bits:` where pixels have more than 8"
        )
        tree.add(tree.marks[f"inputs.{name}.pad"], f"`pad: {pad}` is no gray value here", advice)
    if bits is None or bits == 8:
        return
    if given.get("color") not in (None, BAD, "gray"):
        what = f"`bits: {bits}` is for gray images, and input `{name}` is `color: {given['color']}`"
        advice = "give npy files of uint16, and delete `bits`"
        tree.add(tree.marks[f"inputs.{name}.bits"], what, advice)
    if given.get("resize") == "letterbox" and pad is None:
        what = f"`resize: letterbox` of {bits} bits needs the gray value of its border"
        advice = f"add `pad:`, 0 to {most}, as the board's program has it"
        tree.add(tree.marks[f"inputs.{name}.resize"], what, advice)


def _check_channels(tree: Tree, name: str, given: Values) -> None:
    """mean and std have one number, or one a channel."""
    expected = channels(given)
    for key in ("mean", "std"):
        numbers = given.get(key)
        if not isinstance(numbers, list) or expected is None or len(numbers) in (1, expected):
            continue
        what = f"`{key}` has {len(numbers)} numbers for {count(expected, 'channel')}"
        advice = "write one number, or one a channel"
        tree.add(_value(tree, "inputs", name, key), what, advice)


def check_evaluate(tree: Tree, recipe: Values) -> None:
    evaluate: Any = recipe.get("evaluate")
    data = evaluate.get("inputs") if isinstance(evaluate, Mapping) else None
    if data is not None and data is not BAD:
        where = _value(tree, "evaluate", "inputs")
        check_files(tree, recipe, data, where, lambda name: tree.marks[f"evaluate.inputs.{name}"])
    labels = evaluate.get("labels") if isinstance(evaluate, Mapping) else None
    outputs: Any = recipe.get("outputs")
    for name in labels if isinstance(labels, Mapping) and outputs else ():
        if name not in outputs:
            place = tree.marks[f"evaluate.labels.{name}"]
            tree.add(place, f"no output `{name}`", did_you_mean(name, outputs, "outputs"))


def check_gates(tree: Tree, recipe: Values) -> None:
    """A gate needs the report that it is judged from."""
    targets: Any = recipe.get("targets") or {}
    given = {"gates": recipe.get("gates")}
    given |= {f"targets.{n}.gates": own.get("gates") for n, own in targets.items() if own}
    for path, gates in given.items():
        if not isinstance(gates, Mapping):
            continue
        for name in ("min_metrics", "max_metrics"):
            if gates.get(name) and not _is_own_metric(recipe):
                what = f"`{name}` needs numbers of a function of one's own"
                advice = "add `evaluate: {inputs: ..., labels: ..., metric: FILE.py:FUNCTION}`"
                tree.add(tree.marks[f"{path}.{name}"], what, advice)
        if gates.get("min_accuracy") is None:
            continue
        if recipe.get("evaluate") is None:
            what = "`min_accuracy` needs labelled data"
            advice = "add `evaluate: {inputs: FILE.npy, labels: FILE.npy}`"
            tree.add(tree.marks[f"{path}.min_accuracy"], what, advice)
        elif _is_own_metric(recipe):
            what = "`min_accuracy` judges the share of right classes, and `metric` is a function"
            tree.add(tree.marks[f"{path}.min_accuracy"], what, "keep one of them")


def _is_own_metric(recipe: Values) -> bool:
    evaluate: Any = recipe.get("evaluate")
    return isinstance(evaluate, Mapping) and ":" in str(evaluate.get("metric"))
