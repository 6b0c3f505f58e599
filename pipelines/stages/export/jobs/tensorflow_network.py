"""A Keras file or a SavedModel as one function of named inputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import tensorflow as tf

from pipelines.run.jobs.refusal import Refusal
from quant.graph.types import TensorType

_SIGNATURE = "serving_default"
_ERROR_LINE = re.compile(r"\w+(Error|Exception): ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_AS_SAVED_MODEL = "save it as a SavedModel: model.export('folder'), and name that as `saved_model:`"


@dataclass(frozen=True)
class TensorFlowNetwork:
    """inputs, outputs: the model's own names, in its own order; unknown lengths are None.

    call: input name -> tensor, to output name -> tensor.
    """

    inputs: Mapping[str, TensorType]
    outputs: tuple[str, ...]
    call: Callable[[Mapping[str, Any]], dict[str, Any]]


def load_keras(file: Path, name: str) -> TensorFlowNetwork:
    """Load `.keras` or `.h5`. name: what messages call it. Raises Refusal where it can't."""
    if not file.is_file():
        raise Refusal(f"`{name}` does not exist or is a folder", "name a .keras or .h5 file")
    if not file.stat().st_size:
        raise Refusal(f"`{name}` is empty", "copy or download it again")
    writer = keras_2(file)
    objects = {"DepthwiseConv2D": _OldDepthwise} if writer else {}
    try:
        model = tf.keras.models.load_model(str(file), compile=False, custom_objects=objects)
    except Exception as error:  # Keras raises ValueError, TypeError, OSError and h5py's own
        raise Refusal(
            f"`{name}` cannot be loaded by Keras {tf.keras.__version__}: {brief(error)}",
            _load_advice(writer),
        ) from error
    if not getattr(model, "inputs", None):
        raise Refusal(f"`{name}` does not say what its inputs are", _AS_SAVED_MODEL)
    outputs = _output_names(model)
    if len(set(outputs)) != len(outputs):
        raise Refusal(f"`{name}` has two outputs of one name", "give its last layers names")

    def call(inputs: Mapping[str, Any]) -> dict[str, Any]:
        arranged = [inputs[tensor.name] for tensor in model.inputs]
        returned = model(tf.nest.pack_sequence_as(_structure(model), arranged), training=False)
        return dict(zip(outputs, tf.nest.flatten(returned), strict=True))

    inputs = {tensor.name: _type(tensor.shape, tensor.dtype) for tensor in model.inputs}
    return TensorFlowNetwork(inputs, outputs, call)


def _load_advice(writer: str) -> str:
    """writer: of keras_2."""
    if writer:
        layers = f"Keras {writer} wrote it, whose layers are not all those of Keras 3"
        return f"{layers}: load it there, or with tf_keras, and {_AS_SAVED_MODEL}"
    return f"if it has layers of your own, {_AS_SAVED_MODEL}; else copy or download it again"


def keras_2(file: Path) -> str:
    """The version of the Keras that wrote a .h5 file, where that is 2; else empty."""
    try:
        with h5py.File(file) as held:
            told = held.attrs.get("keras_version", b"")
    except OSError:  # another format, or cut short, which Keras tells
        return ""
    version = told.decode() if isinstance(told, bytes) else str(told)
    return version if version.startswith("2.") else ""


class _OldDepthwise(tf.keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    """Keras 2 wrote the `groups` of a Conv2D into this one too, always 1; Keras 3 refuses it."""

    def __init__(self, *arguments: Any, groups: int = 1, **given: Any) -> None:
        if groups != 1:
            raise ValueError(f"a DepthwiseConv2D has {groups} groups")
        super().__init__(*arguments, **given)


def _structure(model: Any) -> Any:
    """How the model wants its inputs packed: alone, or in a list or dictionary as it was made."""
    inputs = model.inputs
    return getattr(model, "input", inputs[0] if len(inputs) == 1 else inputs)  # Sequential: none


def _output_names(model: Any) -> tuple[str, ...]:
    # A Sequential model has no `output_names`; like them, its output is called after its layer.
    return tuple(getattr(model, "output_names", [model.layers[-1].name]))


def load_saved_model(folder: Path, name: str) -> TensorFlowNetwork:
    """Load a SavedModel's `serving_default`, or its only signature. Raises Refusal if it can't."""
    if not (folder / "saved_model.pb").is_file():
        raise Refusal(
            f"`{name}` is no SavedModel: it has no saved_model.pb",
            "name the folder that model.export(...) or tf.saved_model.save(...) wrote",
        )
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow's errors share no base but Exception
        raise Refusal(
            f"`{name}` cannot be loaded by TensorFlow {tf.__version__}: {brief(error)}",
            "copy or download it again, its `variables` folder too",
        ) from error
    signature = _signature(loaded.signatures, name)
    # Signatures are kept unordered in the file.
    outputs = tuple(sorted(signature.structured_outputs, key=_natural))
    specs = signature.structured_input_signature[1]
    inputs = {name: _type(specs[name].shape, specs[name].dtype.name) for name in sorted(specs)}

    def call(inputs: Mapping[str, Any]) -> dict[str, Any]:
        # The signature's variables live as long as what was loaded does.
        assert loaded is not None
        returned = signature(**inputs)
        return {name: returned[name] for name in outputs}

    return TensorFlowNetwork(inputs, outputs, call)


def _signature(signatures: Mapping[str, Any], name: str) -> Any:
    known = [key for key in signatures if not key.startswith("__")]
    if _SIGNATURE in known:
        return signatures[_SIGNATURE]
    if len(known) == 1:
        return signatures[known[0]]
    has = ", ".join(known) or "none"
    raise Refusal(
        f"`{name}` has no signature `{_SIGNATURE}`; its signatures: {has}",
        f"save it with signatures={{'{_SIGNATURE}': ...}}",
    )


def _natural(name: str) -> tuple[str, int]:
    """output_2 before output_10."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or -1)


def _type(shape: Any, dtype: str) -> TensorType:
    rank = tf.TensorShape(shape).rank
    return TensorType(None if rank is None else tuple(tf.TensorShape(shape).as_list()), dtype)


def brief(error: Exception) -> str:
    """The telling line of an error; TensorFlow wraps errors inside a network in many others."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    telling = [line for line in lines if _ERROR_LINE.match(line)]
    if lines[0] == "in user code:" and telling:
        after = lines[lines.index(telling[-1]) + 1 :]
        is_empty = telling[-1].endswith(("call().", ":"))
        return _COLOUR.sub("", after[0] if is_empty and after else telling[-1])
    return _COLOUR.sub("", lines[0])
