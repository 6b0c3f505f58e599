"""Sections and keys of a recipe that rknn reads."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.backends.rknn.recipe import known_mistakes, vendor
from pipelines.backends.rknn.recipe.options import Build, Quantize
from pipelines.files.where import nearest
from pipelines.recipe.define.sections import CALIBRATION, defaults_of
from pipelines.recipe.kinds.containers import ListOf, MapOf, Nullable
from pipelines.recipe.kinds.scalars import Choice, Flag, Integer, Name, PathTo
from pipelines.recipe.kinds.section import Key, Section


def unknown_option(section: Section, name: str) -> tuple[str, str]:
    """What to say of an option that RKNN.config does not have."""
    if known := known_mistakes.key(name):
        return known
    what = f"no version of RKNN.config has an option `{name}`"
    near = nearest(name, section.keys)
    if near:
        return what, f"did you mean `{near}`?"
    return what, f"its options: {', '.join(sorted(section.keys))}"


def _options(table: Mapping[str, vendor.Option]) -> dict[str, Key]:
    return {name: Key(option.kind, _option_doc(option)) for name, option in table.items()}


def _option_doc(option: vendor.Option) -> str:
    doc = option.doc
    missing = [version for version in vendor.VERSIONS if version not in option.versions]
    if len(option.versions) == 1:
        doc += f" Only in rknn-{option.versions[0]}."
    elif missing:
        doc += f" Not in {' and '.join(f'rknn-{v}' for v in missing)}."
    for value, platforms in option.platforms.items():
        doc += f" `{str(value).lower()}` only for {', '.join(sorted(platforms))}."
    return doc


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
    {"proposal": False, "proposal_dataset_size": 1},
)

CONFIG = Section(
    "quantize: rknn",
    "Options of the SDK's RKNN.config, by their own names.",
    "{optimization_level: 3}",
    _options(vendor.CONFIG),
    {name: option.default for name, option in vendor.CONFIG.items()},
    unknown=unknown_option,
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
    defaults_of(Quantize) | {"calibration": None},
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
    defaults_of(Build),
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
    {"load": "convert"},
)

RUNTIME = Section(
    "runtime",
    "The vendor's own runtime, which then loads the built file in a step of the target, under "
    "emulation (docs/runtime.md). No step where it is left out.",
    "{librknnrt: librknnrt.so}",
    {
        "librknnrt": Key(
            PathTo("file", (".so",)), "A copy of your board's. Left out: librknnrt 1.5.2, fetched."
        ),
    },
)

# Of a target.
KEYS: Mapping[str, Key] = {
    "platform": Key(
        Choice("platform", vendor.ALL_PLATFORMS, known_mistakes.platform),
        "The NPU. Left out: the target's name.",
    ),
    "toolchain": Key(
        Choice("toolchain", tuple(vendor.TOOLCHAINS)), "The toolkit's version to build with."
    ),
}
DEFAULTS = {"toolchain": "rknn-2.5.0"}
SECTIONS = {"quantize": QUANTIZE, "build": BUILD, "rknn": RKNN, "runtime": RUNTIME}
# Where a key belongs that was written elsewhere.
HOMES = {
    "quantize: rknn": frozenset(vendor.CONFIG),
    "rknn": frozenset(RKNN.keys) - {"inputs", "outputs"},
}
