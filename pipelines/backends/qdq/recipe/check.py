"""Checks of one target of the backend `qdq`."""

from __future__ import annotations

from pipelines.recipe.check import data as check_data
from pipelines.recipe.check.data import has_source
from pipelines.recipe.define.view import View
from pipelines.recipe.yaml.reading import BAD

_READ_BY = {"percentile": ("Percentile",), "num_bins": ("Entropy", "Percentile")}


def check(view: View) -> None:
    """Every check that applies. Problems go to the view's tree."""
    check_calibration(view)
    check_method(view)
    check_types(view)
    check_data.check_analysis(view)
    check_data.check_sources(view)


def check_calibration(view: View) -> None:
    """Ranges need data."""
    data = view.get("quantize", "calibration")
    if data is BAD or has_source(data):
        return
    view.tree.add(
        view.target,
        f"target `{view.name}` has no calibration data",
        "add `quantize: {calibration: {images: FOLDER, samples: 20}}` (or list:, or npy:)",
    )


def check_types(view: View) -> None:
    """quantize_static refuses this pair: no kernel multiplies signed by unsigned codes."""
    if (view.get("activation_type"), view.get("weight_type")) == ("QInt8", "QUInt8"):
        what = "onnxruntime does not support weights of QUInt8 with activations of QInt8"
        view.refuse(("weight_type",), what, "write `activation_type: QUInt8`, or QInt8 for both")


def check_method(view: View) -> None:
    """Keys that the calibration method does not read."""
    method = view.get("calibrate_method")
    for key, methods in _READ_BY.items():
        if view.is_own(key) and method is not BAD and method not in methods:
            what = f"`{key}` has no effect with `calibrate_method: {method}`"
            advice = f"delete it, or write `calibrate_method: {methods[-1]}`"
            view.refuse_key((key,), what, advice)
