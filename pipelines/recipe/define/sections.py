"""Sections of a recipe that every backend reads: kind, default and documentation of each key.

Defaults are those of the dataclasses in model.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipelines.recipe.define import model
from pipelines.recipe.kinds.containers import Array, Data, Either, ListOf, MapOf, Nullable
from pipelines.recipe.kinds.scalars import (
    Choice,
    ChoiceOrFunction,
    Flag,
    Integer,
    Number,
    PathTo,
    Scalar,
)
from pipelines.recipe.kinds.scale import PowerOfTwo
from pipelines.recipe.kinds.section import Key, Section
from quant.rewrites.names import REWRITES
from quant.samples.images.image_names import COLORS, RESIZES
from quant.samples.images.yuv_format import FORMATS
from quant.samples.raw_names import SUFFIXES as RAW_SUFFIXES

SOURCES = ("torch", "torchscript", "onnx", "tflite", "keras", "saved_model")
DATA_SOURCES = ("images", "list", "npy", "raw")
ELEMENT_TYPES = (
    "float32",
    "float16",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
)


def _element_type(value: str) -> tuple[str, str] | None:
    """`float` and `int`, which are nearest to several."""
    meant = {"float": "float32", "double": "float64", "half": "float16", "int": "int64"}.get(value)
    return (f"no element type `{value}`", f"write {meant}") if meant else None


def defaults_of(of: type) -> dict[str, Any]:
    """Field -> default of a dataclass, for the fields that have one."""
    fields = dataclasses.fields(of)
    return {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}


_BY_INPUT = MapOf("input", PathTo("file", (".npy",)), at_least=1)
_RAW = PathTo("file", RAW_SUFFIXES)
_PER_CHANNEL = Either(Number(), ListOf(Number(), at_least=1))

DATA_KEYS: Mapping[str, Key] = {
    "images": Key(
        PathTo("folder"),
        "Folder of images (jpg, png, bmp, ppm, webp, tif), for a model of one input.",
    ),
    "list": Key(
        PathTo("file"),
        "Text file with one sample a line, as the SDK's dataset.txt: images, npy or raw files.",
    ),
    "npy": Key(
        Either(PathTo("file", (".npy",)), ListOf(PathTo("file", (".npy",)), at_least=1), _BY_INPUT),
        "An npy file, a list of them, or an npy file an input.",
    ),
    "raw": Key(
        Either(_RAW, ListOf(_RAW, at_least=1), MapOf("input", _RAW, at_least=1)),
        "A file of plain numbers (.bin, .raw, .yuv), a list of them, or one an input. "
        "`inputs: NAME: raw` says what a sample is; one stands behind the other.",
    ),
}

CALIBRATION = Section(
    "quantize: calibration",
    "The data that ranges are measured on. A target's images, list or npy replaces the model's.",
    "{images: FOLDER, samples: 20}",
    {
        **DATA_KEYS,
        "samples": Key(Integer(1), "How many: the first N, in sorted order. All where left out."),
    },
    at_most_one_of=DATA_SOURCES,
)

# `quantize` of a backend that reads nothing else there.
QUANTIZE = Section(
    "quantize",
    CALIBRATION.doc,
    "{calibration: {images: FOLDER}}",
    {"calibration": Key(CALIBRATION, CALIBRATION.doc)},
)

ANALYZE = Section(
    "analyze",
    "The data of the accuracy analysis; the calibration data where it names none, random inputs "
    "where there is none at all.",
    "{samples: 4}",
    {
        **DATA_KEYS,
        "samples": Key(
            Integer(1),
            "How many: the first N, in sorted order. Left out: 4, or the calibration's if fewer.",
        ),
        "sdk": Key(
            Flag(),
            "The SDK's own accuracy_analysis too, where our simulation is equal to it: "
            "`error_analysis.txt` then stands beside the report.",
        ),
    },
    at_most_one_of=DATA_SOURCES,
)

GATES = Section(
    "gates",
    "Limits on the reports; a passed one makes ./doit exit non-zero. In a target `null` lifts one.",
    "{min_cosine: 0.99}",
    {
        "min_cosine": Key(Nullable(Number(-1, 1)), "Least cosine of any layer."),
        "min_output_cosine": Key(
            Nullable(Number(-1, 1)), "Least cosine of any output that is more than one number."
        ),
        "max_output_error": Key(
            Nullable(Number(0)), "Largest difference of any output, as a share of its range."
        ),
        "max_size_ratio": Key(
            Nullable(Number(0, low_open=True)), "Largest artifact bytes / ONNX bytes."
        ),
        "max_cpu_layers": Key(Nullable(Integer(0)), "Most layers that run on the CPU."),
        "max_float_layers": Key(Nullable(Integer(0)), "Most layers in floating point."),
        "min_accuracy": Key(
            Nullable(Number(0, 1)), "Least accuracy by `evaluate`, for the built file."
        ),
        "min_metrics": Key(
            MapOf("metric", Number(), example="{map50: 0.4}"),
            "Least numbers of `evaluate`'s own function, for the built file.",
        ),
        "max_metrics": Key(
            MapOf("metric", Number(), example="{error: 2.5}"), "Largest numbers of the same."
        ),
        "runtime": Key(
            Nullable(Choice("verdict", ("information only", "loads", "runs"))),
            "Least verdict of the runtime. Needs `runtime: {librknnrt: FILE}`: a newer one "
            "may take what the pinned one refuses.",
        ),
    },
)

LIMITS = Section(
    "limits",
    "How much a step may take. A change of it makes nothing stale.",
    "{minutes: 30}",
    {
        "minutes": Key(
            Nullable(Number(0, low_open=True)),
            "How long one step may run; then it is stopped, and fails. Left out: as long as it "
            "takes.",
        ),
    },
)

_RUNS_CODE = "only the exporters of torch, TorchScript, Keras and SavedModel write a chosen opset"

SOURCE = Section(
    "source",
    "Where the network comes from: exactly one of torch, torchscript, onnx, tflite, keras and "
    "saved_model.",
    "{onnx: FILE}",
    {
        "torch": Key(PathTo(function=True), "A function that returns a torch.nn.Module."),
        "torchscript": Key(PathTo(), "A file saved by torch.jit.save."),
        "onnx": Key(PathTo(), "An ONNX file."),
        "tflite": Key(PathTo(), "A TFLite file."),
        "keras": Key(PathTo(), "A .keras or .h5 file."),
        "saved_model": Key(PathTo("folder"), "A TensorFlow SavedModel."),
        "weights": Key(
            PathTo("file", (".safetensors",)),
            "Weights for the torch network's state_dict.",
            only_with=("torch",),
            reason="only a torch source takes weights from another file",
        ),
        "arguments": Key(
            MapOf("argument", Data()),
            "Keyword arguments of the torch function.",
            only_with=("torch",),
            reason="only a torch source calls a function",
        ),
        "exporter": Key(
            Choice("exporter", ("torchscript", "dynamo")),
            "torch's exporter to ONNX.",
            only_with=("torch", "torchscript"),
            reason="only torch and TorchScript sources go through torch's exporter",
        ),
        "opset": Key(
            Integer(7, 19),
            "The ONNX operator set to export.",
            only_with=("torch", "torchscript", "keras", "saved_model"),
            reason=_RUNS_CODE,
        ),
        "dependencies": Key(
            ListOf(PathTo("file"), unique=True),
            "Further files that the source reads: modules it imports, external ONNX weights.",
        ),
    },
    defaults_of(model.Source),
    one_of=SOURCES,
)

RAW = Section(
    "inputs: NAME: raw",
    "What one sample is in a file of plain numbers, which tells nothing itself: no header, little "
    "endian.",
    "{dtype: uint8, shape: [480, 640, 3]}",
    {
        "dtype": Key(Choice("element type", ELEMENT_TYPES, _element_type), "`uint8` if left out."),
        "shape": Key(
            ListOf(Integer(1), at_least=1, example="[480, 640, 3]"),
            "Without the batch; the network's if left out. Channels that are last are put first.",
        ),
        "frame": Key(
            Choice("YUV format", FORMATS),
            "Frames of a camera, [HEIGHT * 3 / 2, WIDTH] bytes: RGB is made of them (BT.601, "
            "limited range).",
        ),
    },
)

INPUT = Section(
    "inputs: NAME",
    "One network input, as the ONNX model has it.",
    "{shape: [1, 3, 224, 224], color: rgb}",
    {
        "shape": Key(
            ListOf(Integer(1), example="[1, 3, 224, 224]"),
            "Shape with its batch; images are [batch, channels, height, width]; `[]`: one number.",
        ),
        "value": Key(
            Either(Scalar(), Array()),
            "Makes the input a constant, as `sr: {value: 16000}`: it is folded into the network, "
            "with the branches (If) that it decides, and needs no data. Of an ONNX source.",
        ),
        "dtype": Key(Choice("element type", ELEMENT_TYPES, _element_type), "Element type."),
        "mean": Key(_PER_CHANNEL, "Subtracted, in pixel units: one number, or one a channel."),
        "std": Key(
            Either(Number(nonzero=True), ListOf(Number(nonzero=True), at_least=1)),
            "Divided by after `mean`: one number, or one a channel.",
        ),
        "color": Key(Choice("color order", COLORS), "Channel order that the network expects."),
        "resize": Key(
            Choice("way to resize", RESIZES),
            "How images of another size are fitted. Left out: they are refused.",
        ),
        "pad": Key(
            Integer(0, 65535),
            "Gray value around a letterboxed image, to be written where `bits` are more than 8.",
            only_with=("resize",),
            reason="only `resize: letterbox` pads",
        ),
        "bits": Key(
            Integer(8, 16),
            "Bits of a pixel in gray images (PNG, TIFF of 16): the network takes 0 to 2^bits - 1, "
            "and mean and std are of that unit. 8 if left out.",
        ),
        "raw": Key(RAW, "What a sample is in a file of plain numbers."),
    },
    defaults_of(model.Input),
)

SIMPLIFY = Section(
    "simplify",
    "How the ONNX graph is simplified.",
    "{tool: onnxsim}",
    {
        "tool": Key(
            Choice("tool", ("auto", "onnxsim", "onnxslim", "none")),
            "The simplifier. `auto`: onnxsim; onnxslim above 3,000 nodes or where onnxsim fails or "
            "spoils the graph; none where both do.",
        ),
        "rewrite": Key(
            ListOf(Choice("rewrite", REWRITES), unique=True), "Exact graph rewrites, in order."
        ),
        "divide": Key(
            MapOf("tensor", PowerOfTwo(), at_least=1, example="{boxes: 256}"),
            "What `divide_outputs` divides by: an output, or a tensor that the Concat of an output "
            "joins. The program multiplies again.",
            only_with=("rewrite",),
            reason="only the rewrite `divide_outputs` reads it",
        ),
        "tolerance": Key(
            Number(0),
            "Largest output difference that passes, relative to the output's largest magnitude. "
            "Left out: 1e-4, and 1e-2 for a float16 graph.",
        ),
    },
    defaults_of(model.Simplify) | {"rewrite": list(model.Simplify().rewrite)},
)

EVALUATE = Section(
    "evaluate",
    "Labelled data for accuracy.",
    "{inputs: FILE.npy, labels: FILE.npy}",
    {
        "inputs": Key(
            Either(PathTo("file", (".npy",)), None, _BY_INPUT),
            "An npy file with all samples, or one an input.",
            required=True,
        ),
        "labels": Key(
            Either(PathTo("file", (".npy",)), None, MapOf("output", PathTo("file", (".npy",)), 1)),
            "An npy file of class indices for the first output, or one an output.",
            required=True,
        ),
        "metric": Key(
            ChoiceOrFunction(Choice("metric", ("top1",))),
            "What is measured; a function gets outputs and labels, and returns numbers.",
        ),
        "samples": Key(Integer(1), "The first N. All where left out."),
    },
    defaults_of(model.Evaluate),
)
