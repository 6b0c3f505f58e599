"""Checks of how the SDK loads the model: `rknn:`, the arguments of load_*."""

from __future__ import annotations

from pipelines.backends.rknn.recipe import vendor
from pipelines.backends.rknn.recipe.view import require_extra
from pipelines.recipe.define.view import View
from pipelines.recipe.yaml.reading import BAD, count


def check(view: View) -> None:
    check_direct(view)
    check_loader(view)
    check_cut(view)
    check_initial_values(view)


def check_direct(view: View) -> None:
    """`load: direct` is for the sources that the SDK's own loaders are proven with."""
    kind, path = view.source_kind, ("rknn", "load")
    if view.get(*path) != "direct" or not kind:
        return
    if kind not in ("torchscript", "tflite"):
        what = f"`load: direct` is for torchscript and tflite sources; this one is {kind}"
        view.refuse(path, what, "delete it; the SDK then loads the simplified ONNX file")
    elif kind == "torchscript":
        require_extra(view, path, "torch", "the SDK's load_pytorch")
    else:
        require_extra(view, path, "tensorflow", "the SDK's load_tflite")
        if not view.recipe.get("inputs"):
            what = "the SDK's load_tflite does not tell the network's inputs"
            advice = "add `inputs: {NAME: {shape: [1, HEIGHT, WIDTH, 3]}}`, as the file has them"
            view.refuse(path, what, advice)


def _loader(view: View) -> str:
    """Which of vendor.LOADERS reads the model; empty if that can't be known."""
    load, kind = view.get("rknn", "load"), view.source_kind
    if load == "convert":
        return "onnx"
    return kind if kind in vendor.LOADERS and kind != "onnx" else ""


def check_loader(view: View) -> None:
    """Each argument is one of the loader's."""
    loader, section = _loader(view), view.section("rknn")
    if section is BAD or not loader:
        return
    for name, value in section.items():
        if name == "load" or value is None or name in vendor.LOADERS[loader]:
            continue
        function = vendor.LOADER_NAMES[loader]
        what = f"{function} has no argument `{name}`"
        has = ", ".join(vendor.LOADERS[loader])
        view.refuse_key(("rknn", name), what, f"delete it; {function} has {has}")


def check_cut(view: View) -> None:
    """`inputs` of load_onnx needs a shape for each."""
    inputs, shapes = view.get("rknn", "inputs"), view.get("rknn", "input_size_list")
    if inputs in (None, BAD) or shapes is BAD:
        return
    if shapes is None:
        what = "`inputs` needs `input_size_list`"
        view.refuse_key(("rknn", "inputs"), what, "add it, with one shape an input")
    elif len(shapes) != len(inputs):
        what = f"`input_size_list` has {count(len(shapes), 'shape')}, `inputs` {len(inputs)} names"
        view.refuse(("rknn", "input_size_list"), what, "write one shape an input")


def check_initial_values(view: View) -> None:
    """One value an input, of which at least one is null."""
    path = ("rknn", "input_initial_val")
    values, cut = view.get(*path), view.get("rknn", "inputs")
    inputs = cut or view.recipe.get("inputs")
    if values in (None, BAD) or BAD in (cut, inputs):
        return
    if inputs and len(values) != len(inputs):
        what = f"`input_initial_val` has {count(len(values), 'value')} for "
        what += count(len(inputs), "input")
        view.refuse(path, what, "write one an input: null, or an array of its shape")
    elif None not in values:
        what = "`input_initial_val` leaves no input"
        view.refuse(path, what, "write null for at least one input")
