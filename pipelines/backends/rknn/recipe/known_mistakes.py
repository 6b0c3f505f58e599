"""Advice found in the wild, and the vendor's names for things that a recipe calls otherwise.

The sentences are the messages, and the rows of docs/recipe.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.backends.rknn.recipe import vendor
from pipelines.files.where import nearest

_TOOLKIT_1 = "an option of RKNN-Toolkit 1 (rk1808, rv1126); rknn-toolkit2 has none"

# name -> (what it is, what to do)
NO_SUCH_OPTION: Mapping[str, tuple[str, str]] = {
    "quantize_input_nodes": (
        "advice found in the wild; no version of the SDK has such an option",
        "delete it: inputs are int8 in a quantized model. For a float layer see `build: layers`",
    ),
    "quantize_input_node": (_TOOLKIT_1, "delete it: inputs are int8 in a quantized model"),
    "merge_dequant_layer_and_output_node": (_TOOLKIT_1, "delete it"),
    "batch_size": (_TOOLKIT_1, "use `quantize: {calibration: {samples: 100}}`"),
    "epochs": (_TOOLKIT_1, "use `quantize: {calibration: {samples: 100}}`"),
    "mmse_epoch": (_TOOLKIT_1, "delete it; mmse takes 20 to 50 samples"),
    "pre_compile": (_TOOLKIT_1, "delete it: every .rknn file is compiled already"),
    "reorder_channel": (_TOOLKIT_1, "use `inputs: {NAME: {color: bgr}}`"),
    "channel_mean_value": (_TOOLKIT_1, "use `inputs: {NAME: {mean: [...], std: [...]}}`"),
    "force_builtin_perm": (_TOOLKIT_1, "delete it; a device takes NHWC images as they are"),
    "need_horizontal_merge": (_TOOLKIT_1, "delete it"),
}

# the SDK's name for an argument -> the key of a recipe
RENAMED: Mapping[str, str] = {
    **vendor.OWNED,
    "do_quantization": "quantize: {dtype: float16}",
    "dataset": "quantize: calibration: list",
    "auto_hybrid": "build: auto_hybrid",
    "proposal": "quantize: hybrid: proposal",
    "proposal_dataset_size": "quantize: hybrid: proposal_dataset_size",
    "custom_hybrid": "quantize: hybrid: custom_hybrid",
    "custom_quantize_layers": "build: layers",
    "cpp_gen_cfg": "build: cpp_gen_cfg",
    "rknn_batch_size": "quantize: rknn_batch_size",
}

_TOOLKIT_1_DTYPE = "a type of RKNN-Toolkit 1 (rk1808, rv1126); rknn-toolkit2 has none such"
_W8A8 = "use w8a8: int8, which every platform takes"

# value of quantize: dtype -> (what it is, what to do)
DTYPES: Mapping[str, tuple[str, str]] = {
    "asymmetric_quantized-u8": (_TOOLKIT_1_DTYPE, _W8A8),
    "asymmetric_affine-u8": (_TOOLKIT_1_DTYPE, _W8A8),
    "dynamic_fixed_point-i8": (_TOOLKIT_1_DTYPE, _W8A8),
    "dynamic_fixed_point-8": (_TOOLKIT_1_DTYPE, _W8A8),
    "dynamic_fixed_point-i16": (_TOOLKIT_1_DTYPE, "use w16a16i_dfp"),
    "dynamic_fixed_point-16": (_TOOLKIT_1_DTYPE, "use w16a16i_dfp"),
    "asymmetric_quantized-8": ("the older name of w8a8", "write w8a8"),
    "asymmetric_quantized-16": (
        "the older name of w16a16i",
        "write w16a16i_dfp; w16a16i itself is not in rknn-2.5.0",
    ),
    "int8": ("no type of the SDK", "write w8a8"),
    "uint8": ("no type of the SDK; its 8-bit type is int8", "write w8a8"),
    "i8": ("no type of the SDK", "write w8a8"),
    "u8": ("no type of the SDK; its 8-bit type is int8", "write w8a8"),
    "int16": ("no type of the SDK", "write w16a16i_dfp"),
    "int4": ("no type of the SDK", "write w4a16, on rk3576 or rv1126b"),
    "fp16": ("no type of the SDK", "write float16: no quantization"),
    "fp": ("no type of the SDK", "write float16: no quantization"),
    "float": ("no type of the SDK", "write float16: no quantization"),
    "float32": ("no type of the NPU", "write float16: no quantization"),
    "bfloat16": (
        "no quantized type",
        "write `dtype: float16` and `rknn: {float_dtype: bfloat16}`",
    ),
}


TOOLKIT_1_PLATFORMS = ("rk1808", "rk1806", "rk3399pro", "rv1109", "rv1126")


def platform(value: str) -> tuple[str, str]:
    """What to say of a platform that the SDK does not know."""
    knows = f"rknn-{vendor.VERSIONS[0]} knows {', '.join(vendor.PLATFORMS)}"
    if value in TOOLKIT_1_PLATFORMS:
        return f"`{value}` is a platform of RKNN-Toolkit 1, not of rknn-toolkit2", knows
    near = nearest(value, vendor.PLATFORMS)
    return f"no platform `{value}`", f"did you mean `{near}`? {knows}" if near else knows


def dtype(value: str) -> tuple[str, str] | None:
    """What to say of a dtype that is met in the wild."""
    known = DTYPES.get(value)
    return (f"`{value}` is {known[0]}", known[1]) if known else None


def key(name: str) -> tuple[str, str] | None:
    """What to say of a key that is the vendor's, or only believed to be."""
    if name in NO_SUCH_OPTION:
        what, advice = NO_SUCH_OPTION[name]
        return f"`{name}` is {what}", advice
    if name in RENAMED:
        return f"`{name}` has a key of its own", f"write `{RENAMED[name]}`"
    return None
