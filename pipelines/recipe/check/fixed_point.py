"""Checks of one target of the backend `fixed_point`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pipelines.files.where import did_you_mean
from pipelines.recipe.check import data as check_data
from pipelines.recipe.check.data import has_source
from pipelines.recipe.define import sweep
from pipelines.recipe.define.definitions import FIXED_POINT, QUANTIZE
from pipelines.recipe.define.view import View
from pipelines.recipe.yaml.reading import BAD

BACKEND = "fixed_point"
_OF_RKNN = ("platform", "toolchain", "build", "rknn", "runtime")
_QUANTIZE_OF_RKNN = tuple(key for key in QUANTIZE.keys if key != "calibration")


def check(view: View) -> None:
    """Every check that applies. Problems go to the view's tree."""
    check_keys(view)
    check_input_scale(view)
    check_names(view)
    check_calibration(view)
    check_activations(view)
    check_data.check_analysis(view)
    check_data.check_sources(view)


def refuse_on_rknn(view: View) -> bool:
    """Refuse fixed_point's keys on a target of the backend rknn. Returns whether there are any."""
    found = [key for key in FIXED_POINT if key in view.own]
    for key in found:
        what = f"`{key}` has no effect with `backend: rknn`"
        if not view.is_own("backend"):
            what += ", which a target has where it names none"
        view.refuse_key((key,), what, f"delete it, or write `backend: {BACKEND}`")
    return bool(found)


def check_keys(view: View) -> None:
    """Keys of the backend rknn: the target's own, and the recipe's where no target has it."""
    paths = [(key,) for key in _OF_RKNN] + [("quantize", key) for key in _QUANTIZE_OF_RKNN]
    for path in paths:
        if view.is_own(*path):
            what = f"`{path[-1]}` has no effect with `backend: {BACKEND}`"
            view.refuse_key(path, what, "delete it, or write `backend: rknn`")
        elif not _has_rknn(view) and ".".join(path) in view.tree.marks:
            what = f"`{path[-1]}` is read by the backend rknn, and no target has it"
            view.refuse_key(path, what, "delete it, or add a target such as `rk3588: {}`")


def _has_rknn(view: View) -> bool:
    """Whether a target of the recipe is of the backend rknn, or was refused."""
    targets = view.recipe["targets"].values()
    return any(own is BAD or (own.get("backend") or "rknn") != BACKEND for own in targets)


def check_input_scale(view: View) -> None:
    """There is one, for every real input and no other."""
    if view.get("input_scale") is None:
        what = f"target `{view.name}` has no `input_scale`"
        advice = "add `input_scale: 16` (images 4 to 32, text 1 to 8), or a list to compare"
        view.tree.add(view.target, what, advice)
        return
    node = view.node("input_scale")
    inputs = view.recipe.get("inputs")
    if node is None or not inputs:
        return
    for mapping in _mappings(node):
        _check_mapping(view, mapping, inputs)


def _mappings(node: Node) -> Iterator[MappingNode]:
    """input_scale as a mapping, or those in its list."""
    for item in node.value if isinstance(node, SequenceNode) else [node]:
        if isinstance(item, MappingNode):
            yield item


def _check_mapping(view: View, node: MappingNode, inputs: Mapping[str, Any]) -> None:
    keys: list[ScalarNode] = [key for key, _ in view.tree.members(node)]
    for key in keys:
        given = inputs.get(key.value, BAD)
        if key.value not in inputs:
            advice = did_you_mean(key.value, inputs, "inputs")
            view.tree.add(view.tree.where(key), f"no input `{key.value}`", advice)
        elif given is not BAD and not _is_real(given):
            what = f"input `{key.value}` holds indices ({given['dtype']}), which have no scale"
            view.tree.add(view.tree.where(key), what, "delete it")
    named = {key.value for key in keys}
    missing = [n for n, given in inputs.items() if given is not BAD and _is_real(given)]
    for name in missing if named <= set(inputs) else ():
        if name not in named:
            what = f"no input_scale for the input `{name}`"
            view.tree.add(view.tree.where(node), what, f"add `{name}: 16`")


def _is_real(given: Mapping[str, Any]) -> bool:
    dtype = given.get("dtype")
    return not isinstance(dtype, str) or dtype.startswith("float")


def check_names(view: View) -> None:
    """The targets that a sweep makes are nobody else's."""
    if any(_is_refused(view.get(key)) for key in sweep.SWEPT):
        return
    names = [point.name for point in sweep.points(view)]
    taken = set(view.recipe["targets"]) - {view.name}
    for name in names:
        if name in taken or names.count(name) > 1:
            what = f"target `{view.name}` sweeps into `{name}`"
            what += ", which is a target too" if name in taken else " twice"
            view.tree.add(view.target, what, "rename one of them" if name in taken else _SPLIT)


def _is_refused(value: Any) -> bool:
    """Whether a value, or one inside it, was refused."""
    if isinstance(value, Mapping):
        return any(map(_is_refused, value.values()))
    return value is BAD or (isinstance(value, list) and any(map(_is_refused, value)))


_SPLIT = "make two targets of it"


def check_activations(view: View) -> None:
    """Unsigned ones choose scales, which constant shifts leave no choice of."""
    if view.get("activations") == "unsigned" and view.get("shifts") == "constant":
        what = "`activations: unsigned` has no effect with `shifts: constant`"
        view.tree.add(view.where("activations"), what, "delete one of them")


def check_calibration(view: View) -> None:
    """Calibrated shifts need data."""
    data = view.get("quantize", "calibration")
    if data is BAD or view.get("shifts") != "calibrated" or has_source(data):
        return
    view.tree.add(
        view.where("shifts"),
        "shifts `calibrated` need calibration data",
        "add `quantize: {calibration: {images: FOLDER, samples: 20}}` (or list:, or npy:), or "
        "`shifts: data_free`",
    )
