"""handoff.json: all that the programmer of the board needs to know of a built model.

model, target, platform, toolkit, file, file_bytes, sha256
inputs           as the runtime tells them (name, shape, layout, dtype, scale, zero_point, bytes),
                 in its order, and `give`: {dtype, values (a sentence), mean, std, color, resize,
                 pad}
outputs          as the runtime tells them, and tolerance, unit: see references; evaluate: {labels,
                 metric} where the recipe has labelled data for it
dynamic_input    the shapes that the file has, a list an input each, or null for one of its own
tail             {file, inputs, outputs} of the network that follows on the CPU, or null
divided          output -> {output, axis, factors}: what the program has to multiply again, see
                 quant.rewrites.divided; empty where nothing was divided
memory           {weights_bytes, internal_bytes} by the build's log
custom_string, runtime, driver
references       {samples, is_random}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.backends.rknn.file import inspection
from pipelines.backends.rknn.handoff import ends
from pipelines.backends.rknn.recipe.options import options
from pipelines.recipe.define.model import Evaluate, Input, Recipe, Samples, Target
from quant.report import build_json
from quant.samples.images.yuv_format import plane_name
from quant.samples.label_files import FIRST
from quant.sha256 import sha256_of

# librknnrt 1.5.2's own words, where the driver says a lower one.
_DRIVER = "rknpu 0.7.0 or later for librknnrt 1.5.2; a later runtime may ask for more"
_OTHER_DRIVER = "not known"


def make(recipe: Recipe, target: Target, model: Path, references: Path) -> dict[str, Any]:
    """model: model.rknn, with build.json beside it. references: references.json."""
    held = inspection.inspect(model)
    build = build_json.read(model.with_name("build.json"))
    made = json.loads(references.read_text())
    totals = build.totals or {}
    return {
        "model": recipe.model,
        "target": target.name,
        "platform": held["platform"],
        "toolkit": held["toolkit"],
        "file": "model.rknn",
        "file_bytes": held["file_bytes"],
        "sha256": sha256_of(model),
        "inputs": [
            {**ends.of_input(row, held["batch"]), "give": _give(recipe, target, row, told)}
            for row, told in zip(held["inputs"], made["inputs"], strict=True)
        ],
        "outputs": _outputs(recipe, held, made["outputs"]),
        "dynamic_input": options(target).quantize.rknn.get("dynamic_input"),
        "tail": None,
        "divided": {},
        "memory": {
            "weights_bytes": totals.get("weight_bytes"),
            "internal_bytes": totals.get("internal_bytes"),
        },
        "custom_string": held["custom_string"],
        "runtime": held["runtime"],
        "driver": _DRIVER if held["runtime"].startswith("librknnrt") else _OTHER_DRIVER,
        "references": {"samples": made["samples"], "is_random": made["is_random"]},
    }


def _give(
    recipe: Recipe, target: Target, row: Mapping[str, Any], told: Mapping[str, Any]
) -> dict[str, Any]:
    """What the program gives for an input, and what calibration did to pictures for it."""
    given = recipe.inputs.get(told["source_name"], Input())
    is_image = len(row["shape"]) == 4
    frame = told["frame"]
    inside = {
        key: list(values) if values is not None else None
        for key, values in (("mean", given.mean), ("std", given.std))
    }
    is_resized = is_image and _takes_images(target.calibration)
    return {
        "dtype": told["dtype"].upper(),
        "values": _values(inside, row["dtype"], _named(given, told, row["name"])),
        **inside,
        "color": given.color if is_image and frame is None else None,
        "frame": frame,
        "resize": given.resize if is_resized else None,
        "pad": given.pad if is_resized and given.resize == "letterbox" else None,
    }


def _takes_images(samples: Samples | None) -> bool:
    return samples is not None and (samples.images is not None or samples.list is not None)


def _named(given: Input, told: Mapping[str, Any], name: str) -> str | None:
    """What an input is where it is more than numbers: a part of a frame, or pixels."""
    frame = told["frame"]
    if frame is None and given.bits and given.bits > 8:
        return f"plain pixels 0..{(1 << given.bits) - 1}"
    if frame is None:
        return "plain pixels 0..255" if told["is_pixels"] else None
    if name == plane_name(told["source_name"], "y"):
        return f"the Y plane of an {frame.upper()} frame (BT.601, limited range)"
    order = "U and V" if frame == "nv12" else "V and U"
    return f"the second plane of the same {frame.upper()} frame, {order} in turn"


def _values(inside: Mapping[str, Any], dtype: str, what: str | None) -> str:
    """mean and std are in the file: the SDK's own, or nodes where the input is not 4-D."""
    if any(value is not None for value in inside.values()):
        return f"mean and std are inside: give {what or 'the values before them'}"
    if dtype in ("INT32", "INT64", "BOOL"):
        return "whole numbers, as the network takes them"
    if what:
        return f"no mean and std are inside: the network was given {what}"
    return "no mean and std are inside: give what the network itself takes"


def _outputs(
    recipe: Recipe, held: Mapping[str, Any], made: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    found = []
    for number, (row, told) in enumerate(zip(held["outputs"], made, strict=True)):
        end = {
            **ends.of_output(row, held["batch"]),
            "tolerance": told["tolerance"],
            "unit": told["unit"],
        }
        labels = _labels(recipe.evaluate, FIRST if number == 0 else None, row["name"])
        found.append({**end, "evaluate": labels})
    return found


def _labels(evaluate: Evaluate | None, place: str | None, name: str) -> dict[str, str] | None:
    """The labelled data for an output: class indices, that is places along its last axis."""
    if evaluate is None:
        return None
    if isinstance(evaluate.labels, str):
        file = evaluate.labels if place == FIRST else None
    else:
        file = evaluate.labels.get(name)
    return {"labels": file, "metric": evaluate.metric} if file else None
