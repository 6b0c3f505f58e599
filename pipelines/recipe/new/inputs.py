"""What a recipe says of a network's inputs: as the file or the user told, or a marked guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.recipe.new.vendor_config import VendorConfig
from quant.fault import Fault
from quant.graph.types import shape_text
from quant.samples.images.image_names import DEFAULT_COLORS

GUESS = "GUESS"


@dataclass
class Line:
    """A key of an input, its value, and why."""

    key: str
    value: Any
    reason: str = ""

    @property
    def is_guess(self) -> bool:
        return self.reason.startswith(GUESS)


@dataclass
class Input:
    name: str
    shape: list[int]
    lines: list[Line] = field(default_factory=list)

    @property
    def is_picture(self) -> bool:
        return any(line.key == "color" for line in self.lines)


def settle(
    look: Mapping[str, Any], told: Mapping[str, Sequence[int]], config: VendorConfig | None
) -> list[Input]:
    """The inputs with whole shapes. told: those that the user gave, by name or for all (``).

    Raises Fault where a length is open that nobody told.
    """
    names = list(look["inputs"])
    whose = "as you gave it"
    if config and config.shapes and not told:
        told = dict(zip(names, config.shapes, strict=False))
        whose = "input_size_list of model_config.yml"
    if unknown := set(told) - {"", *names}:
        raise Fault(f"no input {', '.join(unknown)}", f"the network's: {', '.join(names)}")
    found, open_ = [], []
    for name in names:
        given = look["inputs"][name]
        known = look["shape_reasons"].get(name)
        shape, reason = _shape(given, told.get(name, told.get("")), whose, known)
        if None in shape or not shape:
            open_.append(f"{name} {shape_text(given['shape'])}")
            continue
        lines = [Line("shape", shape, reason)]
        if given["dtype"] != "float32":
            lines.append(Line("dtype", given["dtype"], "as in the file"))
        found.append(Input(name, shape, lines))
    if open_:
        raise Fault(
            f"the file leaves lengths open that an NPU must know: {', '.join(open_)}",
            "give them: --shape NAME=1,3,HEIGHT,WIDTH, once for each input",
        )
    return found


def _shape(
    given: Mapping[str, Any],
    told: Sequence[int] | None,
    whose: str,
    known: Mapping[str, Any] | None,
) -> tuple[list[int], str]:
    """The lengths, and where they are from. whose: who told them."""
    own = given["shape"]
    if told:
        return list(told), f"{whose}; the file has {shape_text(own)}"
    if known:
        mark = f"{GUESS}: " if known.get("is_guessed") else ""
        reason = mark + str(known["reason"])
    else:
        reason = "as in the file"
    if own and own[0] is None and None not in own[1:]:
        return [1, *own[1:]], f"{reason}, which leaves the batch open: 1"
    return own or [], reason


def tell_pictures(
    inputs: Sequence[Input], look: Mapping[str, Any], config: VendorConfig | None
) -> None:
    """mean, std, color and resize of inputs that have a picture's shape."""
    for number, each in enumerate(inputs):
        channels = each.shape[1] if len(each.shape) == 4 else 0
        is_float = not any(line.key == "dtype" for line in each.lines)
        if config and config.means and number < len(config.means):
            _from_config(each, config, number)
        if channels in DEFAULT_COLORS and is_float and min(each.shape[2:]) > 1:
            _tell(each, look["pixels"], DEFAULT_COLORS[channels], config)


def _from_config(each: Input, config: VendorConfig, number: int) -> None:
    assert config.means is not None
    each.lines.append(Line("mean", config.means[number], "mean_values of model_config.yml"))
    if config.stds:
        each.lines.append(Line("std", config.stds[number], "std_values of model_config.yml"))


def _tell(each: Input, known: Mapping[str, Any], color: str, config: VendorConfig | None) -> None:
    if not any(line.key == "mean" for line in each.lines):
        each.lines += _scaling(known)
    each.lines.append(_color(known, color, config))
    resize = known.get("resize")
    reason = known.get("reason", "") if resize else ""
    each.lines.append(
        Line(
            "resize",
            resize or "stretch",
            reason or f"{GUESS}: for pictures of another size; letterbox and crop are the others",
        )
    )


def _scaling(known: Mapping[str, Any]) -> list[Line]:
    if "mean" in known:
        return [Line(key, known[key], known["reason"]) for key in ("mean", "std")]
    if known.get("reason"):
        return [Line("", None, f"no mean and std: {known['reason']}")]
    reason = "nothing in the file says how pixels are scaled; many networks take pixels / 255"
    return [Line("mean", 0, f"{GUESS}: {reason}"), Line("std", 255, f"{GUESS}, with `mean`")]


def _color(known: Mapping[str, Any], color: str, config: VendorConfig | None) -> Line:
    if color == "gray":
        return Line("color", color, "one channel")
    if config:
        order = "bgr" if config.is_bgr else "rgb"
        told = "true" if config.is_bgr else "false"
        return Line("color", order, f"quant_img_RGB2BGR: {told} in model_config.yml")
    if "color" in known:
        return Line("color", known["color"], known["reason"])
    reason = "3 channels; networks trained on OpenCV's pictures take bgr"
    return Line("color", color, f"{GUESS}: {reason}")
