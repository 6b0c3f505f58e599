"""What rknn-toolkit2 accepts, by version: options, platforms, dtypes, algorithms, methods.

Measured: signatures by introspection, values by handing each to the SDK's own `config`, `load_*`,
`build` and `hybrid_quantization_step1`. tests/test_recipe.py compares the tables with the real SDK.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from yaml.nodes import Node

from pipelines.backends.rknn.file.dtypes import FLOAT16, NOT_QUANTIZED, PREQUANTIZED
from pipelines.files.engine import CODE
from pipelines.files.where import did_you_mean
from pipelines.recipe.kinds.containers import Array, Data, ListOf, MapOf, Nullable
from pipelines.recipe.kinds.scalars import Choice, Flag, Integer, Name, Number, PathTo, Text
from pipelines.recipe.yaml.reading import BAD, Kind, Reader
from pipelines.run.toolchain.versions import nearest, order, parts
from quant.samples.images.yuv_format import FORMATS

VERSIONS = ("2.5.0", "2.3.2", "2.3.0", "2.2.0")


@dataclass(frozen=True)
class Toolchain:
    """version: of rknn-toolkit2. extras: what the SDK's own loaders need and is installed too.

    measured: that one of `VERSIONS` whose tables say what it takes: its own version, or for one
    that was not measured the newest before it.
    """

    version: str
    extras: tuple[str, ...]
    measured: str


def toolchains(names: Iterable[str]) -> dict[str, Toolchain]:
    """Those of rknn-toolkit2 among the `names` of pins: without extras first, then the newest."""
    named = [(name, found) for name in names if (found := parts(name)) and found[0] == "rknn"]
    named.sort(key=lambda each: each[1][2], reverse=True)  # torch, tensorflow
    named.sort(key=lambda each: order(each[1][1]), reverse=True)
    named.sort(key=lambda each: bool(each[1][2]))
    return {
        name: Toolchain(version, (extra,) if extra else (), nearest(version, VERSIONS))
        for name, (_, version, extra) in named
    }


TOOLCHAINS: Mapping[str, Toolchain] = toolchains(
    file.stem for file in (CODE / "toolchains").glob("rknn-*.txt")
)

PLATFORMS = (
    "rk2118",
    "rk3562",
    "rk3566",
    "rk3568",
    "rk3576",
    "rk3588",
    "rv1103",
    "rv1103b",
    "rv1106",
    "rv1106b",
    "rv1126b",
)
# The SDK takes this chip's name for the platform's. (It takes capitals too; recipes do not.)
PLATFORM_ALIASES = {"rk3588s": "rk3588"}
# The others' files are as large with `single_core_mode` as without (SDK 2.5.0, to 8 bytes).
MULTI_CORE = ("rk3576", "rk3588")
ALL_PLATFORMS = (*PLATFORMS, *PLATFORM_ALIASES)
# platform -> the first version that knows it, where not all do
PLATFORM_SINCE = {"rv1126b": "2.3.2"}

_EVERYWHERE = frozenset(PLATFORMS)
_INT4 = frozenset(("rk3576", "rv1126b"))
_ONCE = _EVERYWHERE - {"rv1126b"}

# version -> dtype -> platforms. float16 is build(do_quantization=False), for which the SDK says
# "Current target_platform(RV1106) not support do_quantization = False!"; quantized files pass.
_DTYPES = {
    "w8a8": _EVERYWHERE,
    "w8a16": frozenset(("rk3562",)),
    "w16a16i_dfp": _EVERYWHERE,
    "w4a16": _INT4,
    FLOAT16: _EVERYWHERE - {"rv1103", "rv1103b", "rv1106", "rv1106b"},
    PREQUANTIZED: _EVERYWHERE,
}
_OLD_DTYPES = {
    **{dtype: platforms & _ONCE for dtype, platforms in _DTYPES.items()},
    "w8a16": frozenset(("rk3562", "rk3576")),
    "w16a16i": _ONCE,
}
DTYPES: Mapping[str, Mapping[str, frozenset[str]]] = {
    "2.5.0": _DTYPES,
    "2.3.2": {**_DTYPES, "w16a16i": _EVERYWHERE},
    "2.3.0": _OLD_DTYPES,
    "2.2.0": {dtype: _OLD_DTYPES[dtype] for dtype in _OLD_DTYPES if dtype != "w4a16"},
}
ALL_DTYPES = ("w8a8", "w8a16", "w16a16i_dfp", "w16a16i", "w4a16", FLOAT16, PREQUANTIZED)

# algorithm -> dtypes; where a version has both, it takes both
_QUANTIZED = frozenset(("w8a8", "w8a16", "w16a16i", "w16a16i_dfp", "w4a16"))
ALGORITHMS: Mapping[str, frozenset[str]] = {
    "normal": _QUANTIZED,
    "mmse": _QUANTIZED,
    "kl_divergence": _QUANTIZED,
    "gdq": frozenset(("w8a16", "w4a16")),
}

# method -> dtypes, in the same way
METHODS: Mapping[str, frozenset[str]] = {
    "channel": _QUANTIZED,
    "layer": _QUANTIZED,
    **{f"group{n}": frozenset(("w4a16",)) for n in range(32, 257, 32)},
}
LATE_VERSIONS = ("2.5.0", "2.3.2")
# Algorithms, methods and arguments of `build` of these alone.
LATE = frozenset((*METHODS, "gdq", "auto_hybrid")) - {"channel", "layer"}

HYBRID_DTYPES = ("float16", "int16", "int8")  # values of custom_quantize_layers
# Whose int8 networks compile with layers of these types (SDK 2.5.0); others were not tried, but
# float16 on rv1103 and rv1106, which refuse it.
FLOAT16_LAYERS = frozenset(("rk3562", "rk3566", "rk3568", "rk3576", "rk3588", "rv1126b"))
INT16_LAYERS = FLOAT16_LAYERS | {"rv1103", "rv1106"}


@dataclass(frozen=True)
class Option:
    """An argument of the SDK. default: the SDK's own, or None; versions: those that have it.

    platforms: value -> the platforms that take it, where not all do. old_platforms: those of
    2.3.0 and 2.2.0, where they are others.
    """

    kind: Kind
    default: Any
    doc: str
    versions: tuple[str, ...] = VERSIONS
    platforms: Mapping[Any, frozenset[str]] = field(default_factory=dict)
    old_platforms: Mapping[Any, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class RuleName(Kind):
    """A graph rule's name. The SDK ignores a name that it does not know, in silence."""

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        value = NAME.read(node, label, reader)
        if value is BAD or value in rules():
            return value
        return reader.refuse(node, f"no rule `{value}`", did_you_mean(value, rules(), "known"))

    def words(self) -> str:
        return "the name of a graph rule, as the SDK's log prints it"

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


def since(version: str) -> tuple[str, ...]:
    """This version and later ones."""
    return VERSIONS[: VERSIONS.index(version) + 1]


def is_calibrated(dtype: str) -> bool:
    """Whether the SDK quantizes to this dtype, and so needs calibration data."""
    return dtype not in NOT_QUANTIZED


@cache
def rules() -> Mapping[str, tuple[str, ...]]:
    """Rule -> versions that have it."""
    lines = Path(__file__).with_name("rknn_rules.txt").read_text().splitlines()
    words = [line.split() for line in lines if not line.startswith("#")]
    return {name: tuple(versions) or VERSIONS for name, *versions in words}


NAME = Name()
_TENSOR = Name("a tensor's name")
_SHAPE = ListOf(Integer(1), at_least=1, example="[1, 3, 224, 224]")
_SHAPES = ListOf(_SHAPE, example="[[1, 3, 96, 96]]")
_NEW = VERSIONS[:1]
_LATER = VERSIONS[:-1]
_SPARSE = frozenset(("rk2118", "rk3576", "rv1103b", "rv1106b", "rv1126b"))


def _tfloat32(value: str) -> tuple[str, str] | None:
    if value == "tfloat32":
        what = "`tfloat32` passes RKNN.config, but then the compiler ends with an error"
        return what, "use float16 or bfloat16 (it says `Can not support request type: tfloat32`)"
    return None


def takes(option: Option, version: str) -> Mapping[Any, frozenset[str]]:
    """Value -> the platforms that take it, of one version."""
    is_old = option.old_platforms and version not in LATE_VERSIONS
    return option.old_platforms if is_old else option.platforms


# Options of RKNN.config that a recipe writes under `quantize: {rknn: ...}`.
CONFIG: Mapping[str, Option] = {
    "optimization_level": Option(Integer(0, 3), 3, "3: all graph optimizations; 0: none."),
    "quantized_hybrid_level": Option(
        Integer(0, 3), 0, "How freely the SDK itself mixes precisions."
    ),
    "float_dtype": Option(
        Choice("float dtype", ("float16", "bfloat16"), _tfloat32),
        "float16",
        "Type of the layers that are not quantized.",
    ),
    "custom_string": Option(
        Nullable(Text(1023)), None, "Text kept in the file; a program can query it on the device."
    ),
    "remove_weight": Option(
        Flag(), False, "Also make a file without weights, to share another model's."
    ),
    "compress_weight": Option(
        Flag(), False, "Compress the weights. Smaller only with `single_core_mode`, as measured."
    ),
    "inputs_yuv_fmt": Option(
        Nullable(ListOf(Nullable(Choice("YUV format", FORMATS)), at_least=1, example="[nv12]")),
        None,
        "One format an input: the file takes the two planes of a YUV frame, and makes RGB of them "
        "itself (BT.601, limited range). Data stays RGB.",
    ),
    "single_core_mode": Option(
        Flag(), False, "Commands for one NPU core only: a smaller file. For rk3588 and rk3576."
    ),
    "dynamic_input": Option(
        Nullable(ListOf(_SHAPES, at_least=1, example="[[[1, 3, 96, 96]], [[1, 3, 64, 64]]]")),
        None,
        "Sets of input shapes to switch between: [[[1, 3, 224, 224]], [[1, 3, 160, 160]]].",
    ),
    "model_pruning": Option(Flag(), False, "Remove channels that do nothing."),
    "op_target": Option(
        Nullable(MapOf("output tensor", Choice("op target", ("npu", "cpu", "gpu", "auto")))),
        None,
        "Output tensor of an operator -> where it runs.",
    ),
    "quantize_weight": Option(
        Flag(),
        False,
        "Quantize weights only. The SDK says that it will go away: use dtype w8a16.",
        platforms={True: frozenset(("rk3562",))},
        old_platforms={True: frozenset(("rk3562", "rk3576"))},
    ),
    "remove_reshape": Option(Flag(), False, "Remove Reshape at the network's inputs and outputs."),
    "sparse_infer": Option(
        Flag(), False, "Use the sparsity of a sparse model.", platforms={True: _SPARSE}
    ),
    "mini_rknn": Option(Flag(), False, "Make a file for the vendor's mini runtime.", _NEW),
    "enable_flash_attention": Option(Flag(), False, "Use Flash Attention where it fits."),
    "auto_hybrid_cos_thresh": Option(
        Number(0, 1), 0.98, "auto_hybrid: a layer below this cosine becomes float.", LATE_VERSIONS
    ),
    "auto_hybrid_euc_thresh": Option(
        Nullable(Number(0)),
        None,
        "auto_hybrid: a layer above this distance becomes float.",
        LATE_VERSIONS,
    ),
    "memory_plan_strategy": Option(
        Choice(
            "memory plan strategy",
            ("BestFit", "GreedyBySize", "GreedyByLifetime", "SlowPeakGrowth"),
        ),
        "BestFit",
        "How tensors are placed in memory.",
        _NEW,
    ),
    "compute_order": Option(
        Choice("compute order", ("WidthFirst", "DepthFirst")),
        "WidthFirst",
        "Order in which branches are computed.",
        _NEW,
    ),
    "compiler_control_file": Option(
        Nullable(PathTo("file")), None, "A control file of the vendor's compiler.", _NEW
    ),
    # Not in the SDK's signature, but listed in its error for an unknown option. Defaults are those
    # that its log prints.
    "output_optimize": Option(Flag(), True, "Optimize the layout of outputs."),
    "set_op_attr": Option(MapOf("operator", Data()), None, "Attributes to set on operators."),
    "sram_prefer": Option(Flag(), False, "Prefer SRAM."),
    "nbuf_prefer": Option(Flag(), False, "Prefer NBUF.", _LATER),
    "check_data": Option(ListOf(Data()), None, "Data to check the conversion with."),
    "stream_op": Option(
        MapOf("operator", Choice("stream operator", ("exConvStreaming",))),
        None,
        "Operators that keep state between frames.",
        LATE_VERSIONS,
    ),
    "disable_rules": Option(
        ListOf(RuleName(), unique=True),
        None,
        "Graph rules to leave out; the log names those that fired.",
        _LATER,
    ),
    "enable_const_share": Option(Flag(), None, "Store equal constants once.", _NEW),
    "enable_rnn_loop": Option(Flag(), True, "Loops for recurrent layers.", LATE_VERSIONS),
    "enable_core0_only_mode": Option(Flag(), False, "Run on core 0 only.", _NEW),
    "disable_first_conv": Option(
        Flag(), False, "Leave out the special form of the first convolution.", _NEW
    ),
}

# Options of RKNN.config that other keys of a recipe stand for.
OWNED: Mapping[str, str] = {
    "mean_values": "inputs: NAME: mean",
    "std_values": "inputs: NAME: std",
    "target_platform": "targets: NAME: platform",
    "quantized_dtype": "quantize: dtype",
    "quantized_algorithm": "quantize: algorithm",
    "quantized_method": "quantize: method",
    "quant_img_RGB2BGR": "inputs: NAME: color",
}

# Arguments of load_onnx, load_pytorch and load_tflite, which a recipe writes under `rknn:`.
LOAD: Mapping[str, Option] = {
    "inputs": Option(
        Nullable(ListOf(_TENSOR, at_least=1, unique=True)),
        None,
        "Tensors where the network is cut off at its beginning; needs `input_size_list`.",
    ),
    "outputs": Option(
        Nullable(ListOf(_TENSOR, at_least=1, unique=True)),
        None,
        "Tensors where the network is cut off at its end.",
    ),
    "input_size_list": Option(
        Nullable(ListOf(_SHAPE, at_least=1, example="[[1, 3, 224, 224]]")),
        None,
        "A shape an input, with its batch.",
    ),
    "input_initial_val": Option(
        Nullable(ListOf(Nullable(Array()), at_least=1, example="[null, [[0.5, 0.5]]]")),
        None,
        "One an input: null, or an array of the input's shape, which makes it a constant.",
    ),
    "input_is_nchw": Option(
        Flag(), False, "load_tflite: the file's inputs are already channels first."
    ),
}
# source of the model as the SDK loads it -> the arguments that this loader has
LOADERS: Mapping[str, tuple[str, ...]] = {
    "onnx": ("inputs", "outputs", "input_size_list", "input_initial_val"),
    "torchscript": ("input_size_list",),
    "tflite": ("input_is_nchw",),
}
LOADER_NAMES = {"onnx": "load_onnx", "torchscript": "load_pytorch", "tflite": "load_tflite"}
