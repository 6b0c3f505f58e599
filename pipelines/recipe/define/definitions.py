"""Every section and key of a recipe: kind, default, documentation.

The parser, the JSON Schema and docs/recipe.md are made from these definitions alone. Defaults are
those of the dataclasses in model.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipelines.files.where import nearest
from pipelines.recipe.define import known_mistakes, model, vendor
from pipelines.recipe.kinds.containers import Array, Data, Either, ListOf, MapOf, Nullable
from pipelines.recipe.kinds.scalars import (
    Choice,
    ChoiceOrFunction,
    Flag,
    Integer,
    Name,
    Number,
    PathTo,
    Scalar,
    Text,
)
from pipelines.recipe.kinds.scale import InputScale
from pipelines.recipe.kinds.section import Key, Section
from quant.fixed_point.network import options
from quant.samples.image_names import COLORS, RESIZES

SOURCES = ("torch", "torchscript", "onnx", "tflite", "keras", "saved_model")
BACKENDS: Mapping[str, str] = {
    "rknn": "Rockchip NPUs, by the vendor's rknn-toolkit2.",
    "fixed_point": "whole numbers alone: NAME_quant.onnx and NAME_quant.tflite, equal bit for bit.",
}
DATA_SOURCES = ("images", "list", "npy")
REWRITES = (
    "fold_batch_norm",
    "drop_dead_channels",
    "slice_before_concat",
    "concat_on_spatial_axis",
    "merge_groups",
    "split_depthwise_multiplier",
    "split_average_pool",
    "pool_as_convolution",
    "resize_as_convolution",
    "cut_postprocessing",
    "split_concat",
)
# Those that end the network earlier: simplify makes a tail.onnx of the rest.
CUTS = ("cut_postprocessing", "split_concat")
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


def unknown_key(section: Section, name: str) -> tuple[str, str]:
    """What to say of a key that `section` does not have."""
    if known := known_mistakes.key(name):
        return known
    what = f"unknown key `{name}`"
    near = nearest(name, section.keys)
    if near and near.lower() == name.lower():
        return what, f"did you mean `{near}`?"
    for home, keys in _HOMES.items():
        if name in keys and home != section.name:
            return what, f"write it under `{home}`"
    if near:
        return what, f"did you mean `{near}`?"
    place = f"`{section.name}`" if section.name else "a recipe"
    return what, f"{place} has {', '.join(sorted(section.keys))}"


def unknown_option(section: Section, name: str) -> tuple[str, str]:
    """What to say of an option that RKNN.config does not have."""
    if known := known_mistakes.key(name):
        return known
    what = f"no version of RKNN.config has an option `{name}`"
    near = nearest(name, section.keys)
    if near:
        return what, f"did you mean `{near}`?"
    return what, f"its options: {', '.join(sorted(section.keys))}"


def _element_type(value: str) -> tuple[str, str] | None:
    """`float` and `int`, which are nearest to several."""
    meant = {"float": "float32", "double": "float64", "half": "float16", "int": "int64"}.get(value)
    return (f"no element type `{value}`", f"write {meant}") if meant else None


def _defaults(of: type) -> dict[str, Any]:
    """Field -> default of a dataclass, for the fields that have one."""
    fields = dataclasses.fields(of)
    return {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}


def _options(table: Mapping[str, vendor.Option]) -> dict[str, Key]:
    return {name: Key(option.kind, _option_doc(option)) for name, option in table.items()}


def _option_doc(option: vendor.Option) -> str:
    doc = option.doc
    if option.versions != vendor.VERSIONS:
        doc += f" Only in {' and '.join(f'rknn-{v}' for v in option.versions)}."
    for value, platforms in option.platforms.items():
        doc += f" `{str(value).lower()}` only for {', '.join(sorted(platforms))}."
    return doc


_BY_INPUT = MapOf("input", PathTo("file", ".npy"), at_least=1)
_PER_CHANNEL = Either(Number(), ListOf(Number(), at_least=1))

_DATA_KEYS: Mapping[str, Key] = {
    "images": Key(
        PathTo("folder"), "Folder of images (jpg, png, bmp, ppm, webp), for a model of one input."
    ),
    "list": Key(
        PathTo("file"), "Text file with one sample a line, as the SDK's dataset.txt: images or npy."
    ),
    "npy": Key(
        Either(PathTo("file", ".npy"), ListOf(PathTo("file", ".npy"), at_least=1), _BY_INPUT),
        "An npy file, a list of them, or an npy file an input.",
    ),
}

CALIBRATION = Section(
    "quantize: calibration",
    "The data that ranges are measured on. A target's images, list or npy replaces the model's.",
    "{images: FOLDER, samples: 20}",
    {
        **_DATA_KEYS,
        "samples": Key(Integer(1), "How many: the first N, in sorted order. All where left out."),
    },
    unknown_key,
    at_most_one_of=DATA_SOURCES,
)

HYBRID = Section(
    "quantize: hybrid",
    "Arguments of the SDK's hybrid_quantization_step1.",
    "{proposal: true}",
    {
        "proposal": Key(Flag(), "Let the SDK propose layers for `build: layers` (in its log)."),
        "proposal_dataset_size": Key(Integer(1), "Samples that the proposal looks at."),
        "custom_hybrid": Key(
            ListOf(ListOf(Name("a tensor's name"), exactly=2)),
            "Subgraphs to keep in float: [[first tensor, last tensor], ...].",
        ),
    },
    unknown_key,
    {"proposal": False, "proposal_dataset_size": 1},
)

CONFIG = Section(
    "quantize: rknn",
    "Options of the SDK's RKNN.config, by their own names.",
    "{optimization_level: 3}",
    _options(vendor.CONFIG),
    unknown_option,
    {name: option.default for name, option in vendor.CONFIG.items()},
)

QUANTIZE = Section(
    "quantize",
    "Calibration and every option of the SDK's config.",
    "{calibration: {images: FOLDER}}",
    {
        "dtype": Key(
            Choice("dtype", vendor.ALL_DTYPES, known_mistakes.dtype),
            "Types of weights and activations; `float16`: no quantization; `prequantized`: the "
            "source is quantized already (QDQ ONNX, int8 TFLite).",
        ),
        "algorithm": Key(
            Choice("algorithm", tuple(vendor.ALGORITHMS)), "How ranges are chosen from the data."
        ),
        "method": Key(
            Choice("method", tuple(vendor.METHODS)), "What shares a scale: a layer, or a channel."
        ),
        "calibration": Key(CALIBRATION, CALIBRATION.doc),
        "rknn_batch_size": Key(Nullable(Integer(1, 128)), "Batch of the .rknn file."),
        "hybrid": Key(HYBRID, HYBRID.doc),
        "rknn": Key(CONFIG, CONFIG.doc),
    },
    unknown_key,
    _defaults(model.Quantize),
)

BUILD = Section(
    "build",
    "What the .rknn file is made with, after calibration.",
    "{layers: {TENSOR: float16}}",
    {
        "layers": Key(
            MapOf("tensor", Choice("layer type", vendor.HYBRID_DTYPES)),
            "Hybrid quantization: output tensor of a layer -> its type.",
        ),
        "auto_hybrid": Key(Flag(), "Let the SDK choose the float layers itself."),
        "cpp_gen_cfg": Key(Flag(), "Also generate a C++ project that runs the file."),
    },
    unknown_key,
    _defaults(model.Build),
)

ANALYZE = Section(
    "analyze",
    "The data of the accuracy analysis; the calibration data where it names none, random inputs "
    "where there is none at all.",
    "{samples: 4}",
    {
        **_DATA_KEYS,
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
    unknown_key,
    at_most_one_of=DATA_SOURCES,
)

RKNN = Section(
    "rknn",
    "How the SDK loads the model: arguments of its load_* functions, by their own names.",
    "{load: direct}",
    {
        "load": Key(
            Choice("way to load", ("convert", "direct")),
            "`convert`: as ONNX, after export and simplify. `direct`: the SDK's own load_pytorch "
            "or load_tflite reads the source.",
        ),
        **_options(vendor.LOAD),
    },
    unknown_key,
    {"load": "convert"},
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
        "runtime": Key(
            Nullable(Choice("verdict", ("information only", "loads", "runs"))),
            "Least verdict of the runtime. Needs `runtime: {librknnrt: FILE}`: a newer one "
            "may take what the pinned one refuses.",
        ),
    },
    unknown_key,
)

RUNTIME = Section(
    "runtime",
    "The vendor's own runtime, which then loads the built file in a step of the target, under "
    "emulation (docs/runtime.md). No step where it is left out.",
    "{librknnrt: librknnrt.so}",
    {
        "librknnrt": Key(
            PathTo("file", ".so"), "A copy of your board's. Left out: librknnrt 1.5.2, fetched."
        ),
    },
    unknown_key,
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
    unknown_key,
)

_OVERRIDES: Mapping[str, Key] = {
    "quantize": Key(QUANTIZE, "Overrides the recipe's `quantize`, key by key."),
    "build": Key(BUILD, "Overrides the recipe's `build`, key by key."),
    "analyze": Key(ANALYZE, "Overrides the recipe's `analyze`, key by key."),
    "rknn": Key(RKNN, "Overrides the recipe's `rknn`, key by key."),
    "runtime": Key(RUNTIME, "Overrides the recipe's `runtime`, key by key."),
    "gates": Key(GATES, "Overrides the recipe's `gates`, key by key."),
}

_INPUT_SCALE = MapOf("input", InputScale(), at_least=1)
_BIAS_MODE = Choice("bias mode", options.BIAS_MODES, is_any_case=True)

FIXED_POINT: Mapping[str, Key] = {
    "input_scale": Key(
        Either(
            InputScale(),
            ListOf(Either(InputScale(), None, _INPUT_SCALE), at_least=1, unique=True),
            _INPUT_SCALE,
        ),
        "fixed_point: the factor on the real inputs, or on each (images 4 to 32, text 1 to 8). A "
        "list sweeps: target `int8` becomes `int8-s4`, `int8-s8`. Must be written.",
    ),
    "bias_mode": Key(
        Either(_BIAS_MODE, ListOf(_BIAS_MODE, at_least=1, unique=True)),
        "fixed_point: `B8` shifts, then adds an 8-bit bias; `B16` adds a 16-bit bias, then shifts. "
        "A list sweeps: `int8-b8`, `int8-b16`.",
    ),
    "rounding": Key(
        Choice("rounding", options.ROUNDINGS),
        "fixed_point: `compensated` puts half of the last place into the bias; `truncate` does "
        "not.",
    ),
    "shifts": Key(
        Choice("shifts", options.SHIFTS),
        "fixed_point: each tensor's scale is from its range on the calibration data, or on random "
        "data; `constant`: every tensor has the input's.",
    ),
    "weights": Key(
        Choice("weights", options.WEIGHTS),
        "fixed_point: what shares a power of two, a whole weight tensor or each channel of it.",
    ),
    "weight_rounding": Key(
        Choice("weight rounding", options.WEIGHT_ROUNDINGS),
        "fixed_point: `gptq` rounds the weights of a layer one after the other, so that later ones "
        "make good what earlier ones lose, and corrects biases by a few samples; `auto` does so "
        "where that takes seconds.",
    ),
    "equalize": Key(
        Flag(), "fixed_point: move factors between the channels of neighbouring layers (exact)."
    ),
    "unsupported": Key(
        Choice("way with unsupported operators", options.UNSUPPORTED),
        "fixed_point: what becomes of an operator that has no integer form; `float` leaves it in "
        "float between a dequantize and a quantize, in the ONNX file alone.",
    ),
    "activations": Key(
        Choice("kind of activations", options.ACTIVATIONS),
        "fixed_point: `signed` gives every tensor an int8 whose scale is input_scale times a power "
        "of two; `unsigned` gives what is never negative the codes 0 to 255, and every tensor the "
        "scale that uses all of its codes. Nearer to float, most with `weights: channel`.",
    ),
}

TARGET = Section(
    "targets: NAME",
    "One thing to build for.",
    "{platform: rk3588}",
    {
        "backend": Key(Choice("backend", tuple(BACKENDS)), "What builds it."),
        "platform": Key(
            Choice("platform", vendor.ALL_PLATFORMS, known_mistakes.platform),
            "The NPU. Left out: the target's name.",
        ),
        "toolchain": Key(
            Choice("toolchain", tuple(vendor.TOOLCHAINS)), "The toolkit's version to build with."
        ),
        "baseline": Key(
            Flag(), "Bad on purpose, to compare others with: the table of a run says so."
        ),
        **FIXED_POINT,
        **_OVERRIDES,
    },
    unknown_key,
    {
        "backend": "rknn",
        "toolchain": "rknn-2.5.0",
        "baseline": False,
        **_defaults(model.FixedPoint),
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
            PathTo("file", ".safetensors"),
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
    unknown_key,
    _defaults(model.Source),
    one_of=SOURCES,
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
            Integer(0, 255),
            "Gray value around a letterboxed image.",
            only_with=("resize",),
            reason="only `resize: letterbox` pads",
        ),
    },
    unknown_key,
    _defaults(model.Input),
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
        "tolerance": Key(
            Number(0),
            "Largest output difference that passes, relative to the output's largest magnitude. "
            "Left out: 1e-4, and 1e-2 for a float16 graph.",
        ),
    },
    unknown_key,
    _defaults(model.Simplify) | {"rewrite": list(model.Simplify().rewrite)},
)

EVALUATE = Section(
    "evaluate",
    "Labelled data for accuracy.",
    "{inputs: FILE.npy, labels: FILE.npy}",
    {
        "inputs": Key(
            Either(PathTo("file", ".npy"), None, _BY_INPUT),
            "An npy file with all samples, or one an input.",
            required=True,
        ),
        "labels": Key(
            Either(PathTo("file", ".npy"), None, MapOf("output", PathTo("file", ".npy"), 1)),
            "An npy file of class indices for the first output, or one an output.",
            required=True,
        ),
        "metric": Key(
            ChoiceOrFunction(Choice("metric", ("top1",))),
            "What is measured; a function gets outputs and labels, and returns numbers.",
        ),
        "samples": Key(Integer(1), "The first N. All where left out."),
    },
    unknown_key,
    _defaults(model.Evaluate),
)

RECIPE = Section(
    "",
    "One model.",
    "{model: NAME, ...}",
    {
        "model": Key(Text(example="the name of the model's folder"), "Name.", required=True),
        "description": Key(Text(), "One line on what it is."),
        "source": Key(SOURCE, SOURCE.doc, required=True),
        "inputs": Key(
            MapOf("input", INPUT, example="{NAME: {shape: [1, 3, 224, 224], color: rgb}}"),
            "The network's inputs, by name. torch and TorchScript need all of them, in order.",
        ),
        "outputs": Key(
            ListOf(Name("a tensor's name"), at_least=1, unique=True),
            "Output names, in order: given to a torch network's outputs; of other sources, the "
            "outputs to keep. All where left out.",
        ),
        "simplify": Key(SIMPLIFY, SIMPLIFY.doc),
        "quantize": Key(QUANTIZE, QUANTIZE.doc),
        "build": Key(BUILD, BUILD.doc),
        "analyze": Key(ANALYZE, ANALYZE.doc),
        "evaluate": Key(EVALUATE, EVALUATE.doc),
        "runtime": Key(RUNTIME, RUNTIME.doc),
        "gates": Key(GATES, GATES.doc),
        "limits": Key(LIMITS, LIMITS.doc),
        "rknn": Key(RKNN, RKNN.doc),
        "outside": Key(
            ListOf(PathTo("file or folder"), at_least=1, unique=True),
            "Paths of this recipe that may lead out of the project by a link, with all below them; "
            "of a list file, all that it names.",
        ),
        "targets": Key(
            MapOf("target", TARGET, at_least=1, example="{rk3588: {}}"),
            "What to build for.",
            required=True,
        ),
    },
    unknown_key,
)

# Where a key belongs that was written in another section; the first that has it is named.
_HOMES: Mapping[str, frozenset[str]] = {
    "quantize: rknn": frozenset(vendor.CONFIG),
    "rknn": frozenset(RKNN.keys) - {"inputs", "outputs"},
    "inputs: NAME": frozenset(INPUT.keys),
    "source": frozenset(SOURCE.keys),
    "simplify": frozenset(SIMPLIFY.keys),
    "quantize": frozenset(QUANTIZE.keys),
    "build": frozenset(BUILD.keys),
    "runtime": frozenset(RUNTIME.keys),
    "gates": frozenset(GATES.keys),
    "limits": frozenset(LIMITS.keys),
    "evaluate": frozenset(EVALUATE.keys),
    "targets: NAME": frozenset(TARGET.keys) - set(_OVERRIDES),
    "quantize: calibration": frozenset(CALIBRATION.keys),
}
SECTIONS = (
    RECIPE,
    SOURCE,
    INPUT,
    SIMPLIFY,
    QUANTIZE,
    CALIBRATION,
    HYBRID,
    CONFIG,
    BUILD,
    ANALYZE,
    EVALUATE,
    RUNTIME,
    GATES,
    LIMITS,
    RKNN,
    TARGET,
)
