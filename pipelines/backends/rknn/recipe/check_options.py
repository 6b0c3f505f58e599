"""Checks of options of RKNN.config against the target's SDK version, platform and inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yaml.nodes import SequenceNode

from pipelines.backends.rknn.recipe import vendor
from pipelines.backends.rknn.recipe.vendor import Option
from pipelines.backends.rknn.recipe.view import is_quantized, platform_of, toolchain_of
from pipelines.recipe.define.view import Values, View
from pipelines.recipe.yaml.reading import BAD, count
from quant.samples.images import yuv_format as yuv


def check(view: View) -> None:
    check_versions(view)
    check_rules(view)
    check_dynamic_input(view)
    check_yuv(view)


def check_versions(view: View) -> None:
    """The toolkit's version has each option, and the platform takes its value."""
    options, tools = view.get("quantize", "rknn"), toolchain_of(view)
    if options in (None, BAD) or tools is None:
        return
    for name, value in options.items():
        if value is BAD or value is None:
            continue
        option = vendor.CONFIG[name]
        if tools.measured not in option.versions:
            _refuse_version(view, name, tools.version, option)
        else:
            _check_platform_of(view, name, value, vendor.takes(option, tools.measured))


def _refuse_version(view: View, name: str, version: str, option: Option) -> None:
    path = ("quantize", "rknn", name)
    has = f"rknn-{option.versions[0]}"
    what = f"rknn-{version} has no option `{name}`; {has} has"
    where = "delete it" if view.is_own(*path) else f"move it into the targets with toolchain {has}"
    view.refuse_key(path, what, f"{where}, or set `toolchain: {has}` for target `{view.name}`")


def _check_platform_of(
    view: View, name: str, value: Any, platforms: Mapping[Any, frozenset[str]]
) -> None:
    chip = platform_of(view)
    chips = platforms.get(value) if isinstance(value, bool) else None
    if chip and chips and chip not in chips:
        what = f"{chip} does not take `{name}`, which is for {', '.join(sorted(chips))}"
        view.refuse(("quantize", "rknn", name), what, "delete it, or override it in the target")


def check_rules(view: View) -> None:
    """The toolkit's version has the rules to disable; it ignores others in silence."""
    path = ("quantize", "rknn", "disable_rules")
    names, node, tools = view.get(*path), view.node(*path), toolchain_of(view)
    if names in (None, BAD) or not isinstance(node, SequenceNode) or tools is None:
        return
    for item, name in zip(node.value, names, strict=True):
        versions = vendor.rules()[name]
        if tools.measured not in versions:
            has = f"rknn-{versions[0]}"
            what = f"rknn-{tools.version} has no rule `{name}`; {has} has"
            advice = f"delete it, or keep it in the targets with toolchain {has}"
            view.tree.add(view.tree.where(item), what, advice)


def check_dynamic_input(view: View) -> None:
    """Every set has one shape an input, of the input's rank."""
    path = ("quantize", "rknn", "dynamic_input")
    sets, inputs = view.get(*path), view.recipe.get("inputs")
    if sets in (None, BAD) or inputs is BAD:
        return
    ranks = [_rank(given) for given in inputs.values()] if inputs else [None] * len(sets[0])
    for shapes in sets:
        if len(shapes) != len(ranks):
            what = f"a set of `dynamic_input` has {count(len(shapes), 'shape')}, not {len(ranks)}"
            view.refuse(path, what, "write one shape an input in every set")
            return
        for shape, rank in zip(shapes, ranks, strict=True):
            if rank not in (None, len(shape)):
                what = f"{shape} in `dynamic_input` has {count(len(shape), 'length')}, not {rank}"
                view.refuse(path, what, "write shapes like those of the inputs")
                return


def _rank(given: Any) -> int | None:
    """Lengths of an input's shape; None where it is not known."""
    shape = None if given is BAD else given.get("shape")
    return None if shape in (None, BAD) else len(shape)


def check_yuv(view: View) -> None:
    """One format an input, and a quantized network: the SDK ignores them in another."""
    path = ("quantize", "rknn", "inputs_yuv_fmt")
    formats, inputs = view.get(*path), view.recipe.get("inputs")
    if formats in (None, BAD) or inputs is BAD:
        return
    cut = view.get("rknn", "inputs")
    if cut not in (None, BAD):
        inputs = {name: {} for name in cut}
    if inputs and len(formats) != len(inputs):
        what = f"`inputs_yuv_fmt` has {count(len(formats), 'format')} for "
        what += count(len(inputs), "input")
        view.refuse(path, what, "write one an input: nv12, nv21 or null")
    elif not is_quantized(view):
        what = "the SDK ignores `inputs_yuv_fmt` in a network that it does not quantize"
        view.refuse_key(path, what, f"delete it, or write `dtype: w8a8` for `{view.name}`")
    else:
        for form, (name, given) in zip(formats, (inputs or {}).items(), strict=False):
            if form not in (None, BAD) and given is not BAD:
                _check_frame(view, name, given)


def _check_frame(view: View, name: str, given: Values) -> None:
    """The file makes RGB of a frame, whose chroma has half its height and width."""
    path = ("quantize", "rknn", "inputs_yuv_fmt")
    shape, color = given.get("shape"), given.get("color")
    if color not in (None, BAD, "rgb"):
        what = f"the file makes RGB of YUV frames, and input `{name}` takes {color}"
        advice = "write null for it in `inputs_yuv_fmt`, or turn the first layer's weights"
        view.refuse(path, what, advice)
    elif shape not in (None, BAD) and not yuv.is_frame(shape):
        what = f"input `{name}` {shape} takes no YUV frames: those are for [N, 3, HEIGHT, WIDTH], "
        view.refuse(path, f"{what}both even", "write null for it in `inputs_yuv_fmt`")
