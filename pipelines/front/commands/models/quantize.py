"""./doit quantize --input FILE --output FOLDER: one file to whole numbers, without a recipe."""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.backends.fixed_point.recipe.keys import KEYS as FIXED_POINT
from pipelines.backends.fixed_point.recipe.options import FixedPoint
from pipelines.backends.fixed_point.steps import TOOLCHAIN
from pipelines.files import console, unfinished
from pipelines.front.commands.aside import one_job
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit.cli import STARTED_IN, UsageError, unknown
from pipelines.recipe.kinds.scalars import Choice
from pipelines.recipe.kinds.scale import FRACTIONS, WORDS
from pipelines.record.step import Step, Work
from pipelines.run.toolchain.toolchain import Environments
from pipelines.run.worker import Failed
from quant.fixed_point.network.options import BIAS_MODES
from quant.samples.images.image_names import COLORS

RECORD = "quantized.json"
_WRITABLE = "name a folder that can be written with --output"
_LONGEST, _MOST_BYTES = "_quant.tflite", 255  # NAME_MAX of Linux's file systems
_KINDS = (".onnx", ".tflite")
_OF_DATA = ("samples", "mean", "std", "color")
_CHOICES = ("rounding", "shifts", "weights", "weight_rounding", "unsupported", "activations")


class Quantize(OwnCommand):
    name = "quantize"
    in_brief = "one .onnx or .tflite to int8, without a recipe"
    doc_purpose = "one ONNX or TFLite file to int8 in whole numbers, without a recipe"
    doc_usage = "--input FILE --output FOLDER --input_scale N [--bias_mode B8|B16] ..."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("--input", required=True, metavar="FILE", help="model.onnx or model.tflite, float")
        add("--output", required=True, metavar="FOLDER", help="gets NAME_quant.onnx and .tflite")
        add(
            "--input_scale",
            required=True,
            action="append",
            metavar="N|INPUT=N",
            help="whole factor on the real inputs (images 4 to 32, text 1 to 8); once for each "
            "input to give them different ones",
        )
        add("--bias_mode", default="B16", metavar="B8|B16", help="default: B16")
        for key in _CHOICES:
            choice = FIXED_POINT[key].kind
            assert isinstance(choice, Choice)
            add(f"--{key}", metavar="|".join(choice.values), help=_default(key))
        add("--no_equalize", action="store_true", help="leave the channels as they are")
        add(
            "--calibration",
            metavar="FOLDER|NPY",
            help="images, or INPUT.npy for each input, or an npy file; random data without it",
        )
        add("--samples", type=int, metavar="N", help="the first N of the calibration; default: all")
        for key in ("mean", "std"):
            add(f"--{key}", metavar="X[,X,X]", help="of images and npy data, as in a recipe")
        add("--color", metavar="rgb|bgr|gray", help="channel order of images; default: rgb")

    def parse_execute(self, in_args: Sequence[str]) -> int:
        return super().parse_execute([_with_underscores(word) for word in in_args])

    def act(self, arguments: argparse.Namespace) -> int:
        file, folder = _file(arguments.input), _folder(arguments.output)
        step = _step(file, _params(arguments, file), arguments.calibration)
        Environments(self.project.root).make(step.toolchains)
        try:
            result = self.project.builder.worker.run(step, self.project.builder.log_of(step))
        except Failed as error:
            console.say(f"{arguments.input}: {error}", "red")
            return 1
        try:
            found = json.loads((result.out / RECORD).read_text())
            for name in found["bytes"]:
                if (folder / name).is_dir():  # before anything is written
                    raise UsageError(f"{folder / name} is a folder", _WRITABLE)
            made = {name: (result.out / name).read_bytes() for name in found["bytes"]}
            unfinished.write(folder, made)
            _tell(found)
            for name in (f"{file.stem}_quant{kind}" for kind in _KINDS):
                if name not in found["bytes"] and (folder / name).exists():
                    console.tell(f"note: {name} was there before; it is not of this network")
        except OSError as error:
            raise UsageError(f"{arguments.output}: {error.strerror}", _WRITABLE) from error
        finally:
            shutil.rmtree(result.folder)
        return 0


def _default(key: str) -> str:
    if key == "shifts":
        return "default: calibrated, or data_free without --calibration"
    return f"default: {getattr(FixedPoint(1), key)}"


def _with_underscores(word: str) -> str:
    """--input-scale=4 is --input_scale=4."""
    name, equals, value = word.partition("=")
    return (
        name.replace("-", "_").replace("__", "--", 1) + equals + value if _is_option(name) else word
    )


def _is_option(name: str) -> bool:
    return name.startswith("--") and len(name) > 2


def _file(given: str) -> Path:
    file = Path(STARTED_IN, given)
    if file.suffix.lower() not in _KINDS:
        raise UsageError(f"{given} is no {' or '.join(_KINDS)} file", "convert it to ONNX first")
    if not _exists(file) or not file.is_file():
        raise UsageError(f"no file {given}", "name an ONNX or TFLite file with --input")
    if len(f"{file.stem}{_LONGEST}".encode()) > _MOST_BYTES:
        made = f"{file.stem[:20]}...{_LONGEST}"
        raise UsageError(f"{given}: its name is too long for {made}", "rename it")
    return file.parent.resolve() / file.name  # a link's own name: caches keep files under others


def _folder(given: str) -> Path:
    folder = Path(STARTED_IN, given)
    if _exists(folder) and not folder.is_dir():
        raise UsageError(f"{given} is a file", "name a folder with --output")
    return folder


def _exists(path: Path) -> bool:
    """Raises UsageError on what can be no path: one too long, or in a folder that is closed."""
    try:
        return path.exists()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "name another path") from error


def _params(arguments: argparse.Namespace, file: Path) -> dict[str, Any]:
    given = arguments.calibration
    if given is not None and not _exists(Path(STARTED_IN, given)):
        raise UsageError(f"no file or folder {given}", "name calibration data that exists")
    for key in _OF_DATA:
        if given is None and getattr(arguments, key) is not None:
            raise UsageError(
                f"--{key} has no effect without --calibration", "give --calibration, or delete it"
            )
    chosen = {key: _chosen(key, getattr(arguments, key)) for key in _CHOICES}
    chosen["shifts"] = chosen["shifts"] or ("calibrated" if given else "data_free")
    if chosen["shifts"] == "calibrated" and not given:
        raise UsageError("calibrated shifts need data", "give --calibration, or --shifts data_free")
    if chosen["activations"] == "unsigned" and chosen["shifts"] == "constant":
        raise UsageError(
            "--activations unsigned has no effect with --shifts constant", "delete one of them"
        )
    if arguments.samples is not None and arguments.samples < 1:
        raise UsageError(f"--samples can't be {arguments.samples}", "give a number, 1 or more")
    defaults = {key: getattr(FixedPoint(1), key) for key in _CHOICES}
    return {
        "name": file.stem,
        "file": file.name,
        "folder": str(file.parent),
        "input_scale": [
            _scale(word) for words in arguments.input_scale for word in words.split(",")
        ],
        "options": {
            "input_scale": 1,  # counts for nothing: the factors above tell it
            "bias_mode": _chosen("bias_mode", arguments.bias_mode.upper()),
            "equalize": not arguments.no_equalize,
            **{key: value or defaults[key] for key, value in chosen.items()},
        },
        "samples": arguments.samples,
        "input": {
            "mean": _numbers("mean", arguments.mean),
            "std": _numbers("std", arguments.std),
            "color": _color(arguments.color),
            "resize": "stretch",
        },
    }


def _chosen(key: str, value: str | None) -> str | None:
    """A choice, if it is one."""
    kind = FIXED_POINT[key].kind
    known = kind.values if isinstance(kind, Choice) else BIAS_MODES
    if value is not None and value not in known:
        raise unknown(key, value, known, "known")
    return value


def _color(value: str | None) -> str | None:
    if value is not None and value not in COLORS:
        raise unknown("color", value, COLORS, "known")
    return value


def _scale(word: str) -> list[Any]:
    """[input or null, factor] of `4` or `user=4`."""
    name, equals, number = word.rpartition("=")
    is_whole = number.isascii() and number.isdigit() and int(number) > 0
    fractions = {str(fraction): fraction for fraction in FRACTIONS}
    if not (is_whole or number in fractions) or (equals and not name):
        raise UsageError(f"`{word}` is no input_scale", f"give {WORDS}; for one input: user=16")
    return [name or None, int(number) if is_whole else fractions[number]]


def _numbers(key: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(map(math.isfinite, found)) or (key == "std" and 0 in found):
        raise UsageError(
            f"--{key} can't be `{text}`", "give one number, or one a channel: 127,127,127"
        )
    return found


def _step(file: Path, params: dict[str, Any], calibration: str | None) -> Step:
    """A step outside the plan, whose paths are absolute."""
    data = {"data": str(Path(STARTED_IN, calibration).resolve())} if calibration else {}
    return one_job(
        Work(TOOLCHAIN, "pipelines.backends.fixed_point.jobs.file", params),
        model="files",
        stage="quantize",
        inputs={"source": str(file), **data},
        outputs=[RECORD],
    )


def _number(value: float | None) -> str:
    return "NaN" if value is None else f"{value:.6f}"


def _tell(found: dict[str, Any]) -> None:
    """A line a file and an output, then what a reader should know."""
    for name, size_bytes in found["bytes"].items():
        ratio = size_bytes / found["source_bytes"]
        console.tell(f"{name}: {console.quantity(size_bytes)}, {ratio:.2f} of the source")
    for name, error in found["outputs"].items():
        mean, worst = (_number(error["cosine"][key]) for key in ("mean", "worst"))
        console.tell(f"{name}: cosine {mean}, worst of {found['samples']} samples {worst}")
    for note in found["notes"]:
        console.tell(f"note: {note}")
