"""The text of a new recipe: keys, values, and beside or above each where it is from."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.files.engine import PREFIX
from pipelines.recipe.new.data import Data
from pipelines.recipe.new.inputs import Input, Line
from pipelines.recipe.new.network import Network

SCHEMA = f"# yaml-language-server: $schema=../{'../' * bool(PREFIX)}{PREFIX}" + (
    "models/recipe.schema.json" if PREFIX else "recipe.schema.json"
)
_WIDTH = 96
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}


@dataclass(frozen=True)
class Parts:
    """All that a recipe is written from. notes: what was seen and not used.

    examples: targets of other backends, as one would write them.
    """

    model: str
    network: Network
    about: str
    inputs: Sequence[Input]
    data: Data | None
    platform: str
    dependencies: Sequence[str] = ()
    examples: Sequence[str] = ()
    is_quantized: bool = True
    quantize: Mapping[str, Any] | None = None
    rknn: Mapping[str, Any] | None = None
    outputs: Sequence[str] = ()
    notes: Sequence[str] = ()


def text(parts: Parts) -> str:
    blocks = (_head(parts), _source(parts), _inputs(parts), _outputs(parts), _quantize(parts))
    lines = [line for block in blocks if (made := list(block)) for line in (*made, "")]
    return "\n".join([*lines, *_targets(parts), ""])


def _targets(parts: Parts) -> Iterator[str]:
    yield "# One entry a target; other platforms and backends are in"
    yield f"# {PREFIX}docs/recipe.md."
    yield "targets:"
    yield f"  {parts.platform}: {{}}"
    yield from (f"  # {example}" for example in parts.examples if parts.data is not None)


def _head(parts: Parts) -> Iterator[str]:
    yield SCHEMA
    yield "#"
    yield from _comment(
        f"Written by ./doit new from {parts.network.source} ({parts.about}). What is marked GUESS "
        "stands in no file: check it, or the network is calibrated on numbers that it never sees."
        if any(line.is_guess for each in parts.inputs for line in each.lines)
        else f"Written by ./doit new from {parts.network.source} ({parts.about})."
    )
    yield ""
    yield f"model: {parts.model}"


def _source(parts: Parts) -> Iterator[str]:
    yield "source:"
    yield f"  {parts.network.kind}: {value(parts.network.source)}"
    if parts.dependencies:
        yield f"  dependencies: {value(list(parts.dependencies))} # it reads them"
    if parts.network.kind == "torch":
        yield "  # weights: w.safetensors   # without it: the weights that the function makes"


def _inputs(parts: Parts) -> Iterator[str]:
    yield "inputs:"
    for each in parts.inputs:
        yield f"  {value(each.name)}:"
        for line in each.lines:
            yield from _line(line)


def _line(line: Line) -> Iterator[str]:
    """A reason beside its value where there is room, else above it."""
    if not line.key:
        yield from _comment(line.reason, "    ")
        return
    told = f"    {line.key}: {value(line.value)}"
    if line.reason and len(told) + len(line.reason) + 3 <= _WIDTH:
        yield f"{told} # {line.reason}"
        return
    yield from _comment(line.reason, "    ")
    yield told


def _outputs(parts: Parts) -> Iterator[str]:
    if parts.outputs:
        yield f"outputs: {value(list(parts.outputs))} # of model_config.yml"


def _quantize(parts: Parts) -> Iterator[str]:
    for note in parts.notes:
        yield from _comment(note)
    yield "quantize:"
    for key, told in (parts.quantize or {}).items():
        yield f"  {key}: {value(told)} # of model_config.yml"
    if parts.rknn:
        yield f"  rknn: {value(dict(parts.rknn))} # of model_config.yml"
    if not parts.is_quantized:
        yield "  dtype: float16 # quantize: false in model_config.yml"
    elif parts.data is None:
        yield from _comment(
            "MISSING: data to calibrate on. Until then nothing is int8. With pictures or npy files "
            "in data/, write `calibration: {images: data}` (or npy) in place of dtype.",
            "  ",
        )
        yield "  dtype: float16"
    else:
        yield "  calibration:"
        yield f"    {parts.data.key}: {value(parts.data.value)} # {parts.data.told}, copied"


def _comment(words: str, indent: str = "") -> Iterator[str]:
    head = f"{indent}# "
    if words:
        yield from textwrap.wrap(
            words, _WIDTH, initial_indent=head, subsequent_indent=head, break_long_words=False
        )


def value(given: Any) -> str:
    """In YAML's flow style, quoted wherever it could be read as anything but itself."""
    if isinstance(given, Mapping):
        return "{" + ", ".join(f"{value(k)}: {value(v)}" for k, v in given.items()) + "}"
    if isinstance(given, (list, tuple)):
        return "[" + ", ".join(map(value, given)) + "]"
    if isinstance(given, float):
        return f"{given:g}" if float(f"{given:g}") == given else repr(given)
    if isinstance(given, str):
        is_plain = _PLAIN.fullmatch(given.replace(":", "")) and ": " not in given
        is_plain = is_plain and not given.endswith(":") and given.lower() not in _WORDS
        return given if is_plain else json.dumps(given, ensure_ascii=False)
    return json.dumps(given)
