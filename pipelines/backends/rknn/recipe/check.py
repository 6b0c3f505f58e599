"""Checks of one target of the backend `rknn`: what its SDK version and platform accept."""

from __future__ import annotations

from collections.abc import Collection

from pipelines.backends.rknn.file import platforms
from pipelines.backends.rknn.file.dtypes import PREQUANTIZED
from pipelines.backends.rknn.recipe import check_load, check_options, known_mistakes, vendor
from pipelines.backends.rknn.recipe.view import (
    is_quantized,
    platform_of,
    require_extra,
    toolchain_of,
)
from pipelines.files.where import nearest
from pipelines.recipe.check import data as check_data
from pipelines.recipe.define.view import View
from pipelines.recipe.yaml.reading import BAD


def check(view: View) -> None:
    """Every check that applies. Problems go to the view's tree."""
    foreign = view.definitions.foreign(view.backend)
    if any(view.is_own(*path) for path in foreign) and not platform_of(view):
        return  # the backend was forgotten, not the platform
    check_platform(view)
    check_dtype(view)
    check_algorithm(view)
    check_method(view)
    check_hybrid(view)
    check_prequantized(view)
    check_options.check(view)
    check_load.check(view)
    check_calibration(view)
    check_data.check_analysis(view)
    check_data.check_sources(view)
    check_runtime(view)


def check_runtime(view: View) -> None:
    """librknnmrt must be the user's own copy; a gate is judged by such a one alone."""
    is_asked = "runtime" in view.recipe or "runtime" in view.own
    platform = platform_of(view) or ""
    gate, section = view.get("gates", "runtime"), view.section("runtime")
    is_named = section is BAD or bool(section.get("librknnrt"))
    if is_asked and platform in platforms.UNKNOWN:
        what = f"{platform} has a runtime of its own, which npumake can't load"
        view.refuse_key(("runtime",), what, "delete `runtime`, or write it in the other targets")
    elif is_asked and platform in platforms.MINIMAL and not is_named:
        what = f"{platform} has a runtime of its own, librknnmrt, which no package has"
        advice = "write `runtime: {librknnrt: FILE}`; a board has it as /usr/lib/librknnmrt.so"
        view.refuse_key(("runtime",), what, advice)
    if gate not in (None, BAD) and not is_named:
        what = "the gate `runtime` needs the runtime of your board"
        advice = "write `runtime: {librknnrt: FILE}`; a board has it as /usr/lib/librknnrt.so"
        view.refuse_key(("gates", "runtime"), what, advice)


def _either(values: Collection[str]) -> str:
    return " or ".join(sorted(values))


def check_platform(view: View) -> None:
    """A target without a platform is named after one."""
    if "platform" in view.own or platform_of(view):
        _check_platform_version(view)
        return
    near = nearest(view.name, vendor.PLATFORMS)
    is_misspelt = near and len(near) == len(view.name)
    if is_misspelt or view.name in known_mistakes.TOOLKIT_1_PLATFORMS:
        view.tree.add(view.target, *known_mistakes.platform(view.name))
        return
    inside = [name for name in vendor.PLATFORMS if name in view.name]
    advice = f"add `platform: {max(inside, key=len) if inside else 'rk3588'}`"
    knows = ", ".join(vendor.PLATFORMS)
    what = f"target `{view.name}` names no platform"
    view.tree.add(view.target, what, f"{advice}; rknn-{vendor.VERSIONS[0]} knows {knows}")


def _check_platform_version(view: View) -> None:
    """The toolkit's version knows the platform."""
    chip, tools = platform_of(view), toolchain_of(view)
    since = vendor.PLATFORM_SINCE.get(chip or "")
    if tools is None or since is None or tools.measured in vendor.since(since):
        return
    what = f"rknn-{tools.version} has no platform `{chip}`; rknn-{since} and later ones have"
    advice = f"set `toolchain: rknn-{vendor.VERSIONS[0]}` for target `{view.name}`"
    if "platform" in view.own:
        view.refuse(("platform",), what, advice)
    else:
        view.tree.add(view.target, what, advice)


def check_dtype(view: View) -> None:
    """The toolkit's version has the dtype, and the platform takes it."""
    dtype, tools, chip = view.get("quantize", "dtype"), toolchain_of(view), platform_of(view)
    if dtype is BAD or tools is None:
        return
    known = vendor.DTYPES[tools.measured]
    path = ("quantize", "dtype")
    if dtype not in known:
        others = [v for v in vendor.VERSIONS if dtype in vendor.DTYPES[v]]
        what = f"rknn-{tools.version} has no dtype `{dtype}`; rknn-{others[0]} has"
        view.refuse(
            path, what, f"write one of {', '.join(known)}, or `toolchain: rknn-{others[0]}`"
        )
    elif chip and chip not in known[dtype] and any(chip in chips for chips in known.values()):
        takes = [name for name, chips in known.items() if chip in chips]
        few = f", which is for {_either(known[dtype])}" if len(known[dtype]) <= 3 else ""
        what = f"{chip} does not take dtype `{dtype}`{few}"
        view.refuse(path, what, f"{chip} takes {', '.join(takes)}")


def check_algorithm(view: View) -> None:
    """The algorithm fits the dtype; gdq computes with torch."""
    algorithm, dtype = view.get("quantize", "algorithm"), view.get("quantize", "dtype")
    if BAD in (algorithm, dtype) or not vendor.is_calibrated(dtype):
        return
    dtypes = vendor.ALGORITHMS[algorithm]
    path = ("quantize", "algorithm")
    if dtype not in dtypes:
        what = f"algorithm `{algorithm}` is not for dtype `{dtype}`"
        view.refuse(path, what, f"write `dtype: {_either(dtypes)}`, or another algorithm")
    elif _is_late(view, path, algorithm):
        pass
    elif algorithm == "gdq":
        require_extra(view, path, "torch", "algorithm `gdq`")


def check_method(view: View) -> None:
    """The method fits the dtype."""
    method, dtype = view.get("quantize", "method"), view.get("quantize", "dtype")
    if BAD in (method, dtype) or not vendor.is_calibrated(dtype):
        return
    dtypes = vendor.METHODS[method]
    if dtype not in dtypes:
        what = f"method `{method}` is not for dtype `{dtype}`"
        advice = f"write `dtype: {_either(dtypes)}`, or `method: channel` or `layer`"
        view.refuse(("quantize", "method"), what, advice)
    else:
        _is_late(view, ("quantize", "method"), method)


def _is_late(view: View, path: tuple[str, ...], value: str) -> bool:
    """Whether the toolkit's version does not have it yet; refused, if so.

    value: an algorithm, a method, or auto_hybrid.
    """
    tools = toolchain_of(view)
    if tools is None or value not in vendor.LATE or tools.measured in vendor.LATE_VERSIONS:
        return False
    has = f"rknn-{vendor.LATE_VERSIONS[-1]} and later ones have"
    kind = "option" if value == path[-1] else path[-1]
    what = f"rknn-{tools.version} has no {kind} `{value}`; {has}"
    other = "delete it" if value == path[-1] else f"write another {kind}"
    view.refuse(path, what, f"set `toolchain: rknn-{vendor.VERSIONS[0]}`, or {other}")
    return True


def check_hybrid(view: View) -> None:
    """Layers, auto_hybrid and step 1's arguments need a quantized dtype, and exclude each other."""
    layers = view.get("build", "layers")
    is_auto = view.get("build", "auto_hybrid") is True
    step1 = view.get("quantize", "hybrid")
    if not is_quantized(view):
        for path in _written_hybrid(view):
            what = f"`{path[-1]}` mixes types in a quantized model, and this one is not quantized"
            advice = f"delete it, or write `dtype: w8a8` for target `{view.name}`"
            view.refuse_key(path, what, advice)
        return
    if is_auto:
        _is_late(view, ("build", "auto_hybrid"), "auto_hybrid")
    if is_auto and (layers or step1):
        what = f"`auto_hybrid: true` leaves `{'layers' if layers else 'hybrid'}` without effect"
        view.refuse_key(("build", "auto_hybrid"), what, "keep one of them")
    if layers or step1:
        path = ("build", "layers") if layers else ("quantize", "hybrid")
        for cause in _without_step1(view):
            what = f"`{path[-1]}` can't be used with {cause}, which needs the SDK's single `build`"
            view.refuse_key(path, what, "keep one of them")


def _without_step1(view: View) -> list[str]:
    """What hybrid_quantization_step1 refuses, or loses."""
    causes = []
    if view.get("quantize", "algorithm") == "gdq":
        causes.append("algorithm `gdq`")
    if view.get("quantize", "rknn", "dynamic_input"):
        causes.append("`dynamic_input`")
    if view.get("quantize", "rknn", "inputs_yuv_fmt") not in (None, BAD):
        causes.append("`inputs_yuv_fmt`")
    return causes


def _written_hybrid(view: View) -> list[tuple[str, ...]]:
    """Hybrid keys that are set, but not those that a target which overrides dtype inherits.

    `auto_hybrid` stays allowed: without int8 layers the SDK has nothing to choose.
    """
    paths = (("build", "layers"), ("quantize", "hybrid"))
    is_override = view.is_own("quantize", "dtype")
    return [
        path for path in paths if view.get(*path) and not (is_override and not view.is_own(*path))
    ]


def check_prequantized(view: View) -> None:
    """Only ONNX and TFLite files can be quantized already."""
    kind, path = view.source_kind, ("quantize", "dtype")
    if view.get(*path) != PREQUANTIZED or not kind:
        return
    if kind not in ("onnx", "tflite"):
        what = f"a {kind} source is not quantized already"
        view.refuse(path, what, "`prequantized` is for QDQ ONNX and int8 TFLite files")
    elif kind == "tflite" and view.get("rknn", "load") == "convert":
        what = "a quantized TFLite file can't be converted to ONNX"
        view.refuse(path, what, "add `rknn: {load: direct}`: the SDK reads the file itself")


def check_calibration(view: View) -> None:
    """A quantized dtype needs data."""
    dtype, data = view.get("quantize", "dtype"), view.get("quantize", "calibration")
    if BAD in (dtype, data) or not vendor.is_calibrated(dtype) or check_data.has_source(data):
        return
    path = ("quantize", "calibration") if data is not None else ("quantize",)
    what = f"dtype `{dtype}` needs calibration data"
    advice = (
        "add `calibration: {images: FOLDER, samples: 20}` (or list:, or npy:), or `dtype: float16`"
    )
    view.tree.add(view.key(*path), what, advice)
