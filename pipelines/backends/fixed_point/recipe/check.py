"""Checks of one target of the backend `fixed_point`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pipelines.backends.fixed_point.recipe import sweep
from pipelines.files.where import did_you_mean
from pipelines.recipe.check import data as check_data
from pipelines.recipe.check.data import has_source
from pipelines.recipe.define.view import View
from pipelines.recipe.yaml.reading import BAD


def check(view: View) -> None:
    """Every check that applies. Problems go to the view's tree."""
    check_input_scale(view)
    check_names(view)
    check_calibration(view)
    check_activations(view)
    check_data.check_analysis(view)
    check_data.check_sources(view)


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
