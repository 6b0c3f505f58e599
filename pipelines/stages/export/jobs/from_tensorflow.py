"""export of a Keras file or a SavedModel, through tf2onnx.

TensorFlow stores pictures as N, H, W, C. An input keeps that where the recipe's shape is the
model's own ([1, 96, 96, 3]); where it is the model's with the channels first ([1, 3, 96, 96]),
the graph gets the input so, which is what rknn-toolkit2 expects of ONNX pictures. Outputs stay as
the model has them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

# Read when TensorFlow is first imported; a worker that has imported it already has set them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import onnx
import tensorflow as tf
import tf2onnx

from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.export.jobs.conversion_order import order_by_name
from pipelines.stages.export.jobs.notes import ExportNotes, bounds
from pipelines.stages.export.jobs.params import Declared, ExportParams
from pipelines.stages.export.jobs.recipe_inputs import bind, fits
from pipelines.stages.export.jobs.source_file import source_file
from pipelines.stages.export.jobs.tensorflow_network import (
    TensorFlowNetwork,
    brief,
    load_keras,
    load_saved_model,
)
from quant.conversion.erfc import write_out_erfc
from quant.execution.compare import differences, require_close
from quant.execution.random_inputs import DRAWS, random_inputs
from quant.execution.run import FloatRun
from quant.execution.shapes import settle_outputs
from quant.graph.file import save
from quant.graph.names import rename
from quant.graph.operators import OWN_DOMAINS, label, nodes
from quant.graph.provenance import strip_provenance
from quant.graph.types import TensorType, input_types, output_types
from quant.nearest import did_you_mean

Array = npt.NDArray[np.generic]

# float32 sums in another order, as in export_torch.
TOLERANCE = 1e-4
_CHANNELS_LAST = (0, 2, 3, 1)  # from N, C, H, W


@dataclass(frozen=True)
class _Input:
    """One input as the network takes it; is_moved: the graph takes it channels first."""

    name: str
    type: TensorType
    is_moved: bool

    def from_graph(self, array: Array) -> Array:
        """The network's array for the graph's."""
        return array.transpose(_CHANNELS_LAST) if self.is_moved else array


def run(job: Job[ExportParams]) -> None:
    """Writes out/model.onnx. Its outputs are compared with the network's on random inputs."""
    for name in ("tensorflow", "tf2onnx", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Sums in another order give other last digits, so the record would depend on the cores.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    order_by_name()
    source = job.params.source
    load = load_keras if source.kind == "keras" else load_saved_model
    network = load(source_file(job), source.file)
    inputs = _inputs(network, job.params.inputs)
    names = _outputs(network, job.params.outputs)
    function = _function(network, inputs, names)
    model = _convert(function, inputs, names, source.opset)
    changes = [*_changes(network, inputs), *settle_outputs(model)]
    found = _compare(model, function, inputs, names)
    save(model, job.out / "model.onnx")
    ExportNotes(
        exporter=f"tensorflow {tf.__version__} tf2onnx {tf2onnx.__version__}",
        changes=changes,
        warnings=_warnings(inputs),
        maximum_difference=bounds(found),
    ).save(job.scratch)


def _inputs(network: TensorFlowNetwork, recipe: Mapping[str, Declared]) -> tuple[_Input, ...]:
    """The network's inputs in the recipe's order, then those it leaves out, shapes known.

    A batch that the model leaves open is, where the recipe gives no shape, that of the recipe's
    other inputs, else 1.
    """
    known, moved = {}, set()
    batch = next((told.shape[0] for told in recipe.values() if told.shape), 1)
    for name, type_ in network.inputs.items():
        told = recipe[name].shape if name in recipe else None
        known[name] = type_ if told else _with_batch(type_, batch)
        if told and not fits(told, type_) and fits(_channels_last(told), type_):
            moved.add(name)
            known[name] = TensorType(told, type_.dtype)
    shapes = bind(recipe, known)
    order = [*recipe, *(name for name in known if name not in recipe)]
    return tuple(_input(name, shapes[name], known[name].dtype, name in moved) for name in order)


def _input(name: str, shape: tuple[int, ...], dtype: str, is_moved: bool) -> _Input:
    return _Input(name, TensorType(_channels_last(shape) if is_moved else shape, dtype), is_moved)


def _with_batch(type_: TensorType, batch: int) -> TensorType:
    if type_.shape and type_.shape[0] is None:
        return TensorType((batch, *type_.shape[1:]), type_.dtype)
    return type_


def _channels_last(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in _CHANNELS_LAST) if len(shape) == 4 else tuple(shape)


def _outputs(network: TensorFlowNetwork, wanted: Sequence[str]) -> tuple[str, ...]:
    for name in wanted:
        if name not in network.outputs:
            raise Refusal(
                f"the model has no output `{name}`",
                did_you_mean(name, network.outputs, "its outputs"),
            )
    return tuple(wanted) or network.outputs


def _function(network: TensorFlowNetwork, inputs: Sequence[_Input], names: Sequence[str]) -> Any:
    """A function of fixed input shapes, its tensors in the order of `inputs` and `names`.

    tf2onnx's own from_keras loses the batch, and its reader of SavedModels the order and the names.
    """

    def call(*tensors: Any) -> list[Any]:
        returned = network.call(dict(zip((i.name for i in inputs), tensors, strict=True)))
        # Without it an output that is an input, or another output, would have no tensor of its own.
        return [tf.identity(returned[name]) for name in names]

    return tf.function(call, input_signature=_signature(inputs))


def _signature(inputs: Sequence[_Input]) -> list[Any]:
    # TensorFlow does not take every name that a recipe may have.
    return [
        tf.TensorSpec(item.type.static_shape, item.type.dtype, f"input_{number}")
        for number, item in enumerate(inputs)
    ]


def _convert(
    function: Any, inputs: Sequence[_Input], names: Sequence[str], opset: int
) -> onnx.ModelProto:
    moved = [f"input_{number}:0" for number, item in enumerate(inputs) if item.is_moved]
    try:
        made, _ = tf2onnx.convert.from_function(
            function, input_signature=_signature(inputs), opset=opset, inputs_as_nchw=moved
        )
    except Exception as error:  # tf2onnx raises what its handlers happen to
        raise Refusal(
            f"tf2onnx {tf2onnx.__version__} cannot convert the network: {brief(error)}",
            "try another `opset`, or rewrite the operation with plain Keras layers",
        ) from error
    model = cast(onnx.ModelProto, made)
    write_out_erfc(model)
    _require_converted(model, opset)
    strip_provenance(model)
    _drop_unused_domains(model)
    _name(model, [item.name for item in inputs], names)
    return model


def _drop_unused_domains(model: onnx.ModelProto) -> None:
    """tf2onnx always imports ai.onnx.ml."""
    used = {"" if node.domain in OWN_DOMAINS else node.domain for node in nodes(model.graph)} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _name(model: onnx.ModelProto, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Give inputs and outputs the network's names, and put the inputs in order."""
    present = {value.name: value for value in model.graph.input}
    moves = {f"input_{number}": name for number, name in enumerate(inputs)}
    for made, name in moves.items():
        if made not in present:
            raise Refusal(f"no output depends on the input `{name}`", "remove it from the network")
    ordered = [present[made] for made in moves]
    del model.graph.input[:]
    model.graph.input.extend(ordered)
    rename(model, moves | dict(zip(output_types(model), outputs, strict=True)))


def _require_converted(model: onnx.ModelProto, opset: int) -> None:
    """tf2onnx leaves an operation that it does not know in the graph under TensorFlow's name."""
    for node in nodes(model.graph):
        if node.domain in OWN_DOMAINS and not onnx.defs.has(node.op_type, opset, ""):
            raise Refusal(
                f"tf2onnx {tf2onnx.__version__} has no ONNX operator for {node.op_type} "
                f"`{label(node)}` at opset {opset}",
                "try a higher `opset`, or rewrite the operation with plain Keras layers",
            )


def _compare(
    model: onnx.ModelProto, function: Any, inputs: Sequence[_Input], names: Sequence[str]
) -> dict[str, float]:
    types = {name: input_types(model)[name] for name in (item.name for item in inputs)}
    expected, draws = [], [random_inputs(types, draw) for draw in range(DRAWS)]
    for draw in draws:
        arrays = [tf.constant(item.from_graph(draw[item.name])) for item in inputs]
        returned = [tensor.numpy() for tensor in function(*arrays)]
        expected.append(dict(zip(names, returned, strict=True)))
    found = differences(expected, map(FloatRun(model), draws))
    require_close(
        found,
        TOLERANCE,
        "the converted graph does not compute what the network does",
        "try another `opset`, or rewrite the operation with plain Keras layers",
    )
    return found


def _changes(network: TensorFlowNetwork, inputs: Sequence[_Input]) -> list[str]:
    said = []
    for item in inputs:
        if not network.inputs[item.name].is_static:
            said.append(f"input `{item.name}` was {network.inputs[item.name]}, now {item.type}")
        if item.is_moved:
            said.append(f"input `{item.name}` is taken channels first, as the recipe has it")
    return said


def _warnings(inputs: Sequence[_Input]) -> list[str]:
    return [
        f"input `{item.name}` is N, H, W, C; for a picture, rknn-toolkit2 wants N, C, H, W: "
        "declare its shape with the channels first"
        for item in inputs
        if not item.is_moved and len(item.type.static_shape) == 4
    ]
