"""export of a torch module (`file.py:function`) or a TorchScript file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils import _pytree as pytree

from pipelines.recipe.define.model import Source
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.run.jobs.user_code import errors_told
from pipelines.stages.export.jobs.notes import ExportNotes, bounds
from pipelines.stages.export.jobs.params import Declared, ExportParams
from pipelines.stages.export.jobs.recipe_inputs import bind
from pipelines.stages.export.jobs.source_file import model_folder
from pipelines.stages.export.jobs.torch_fold import fold_into_convolutions
from pipelines.stages.export.jobs.torch_network import load_network, seed
from quant.execution.compare import differences, require_close
from quant.execution.random_inputs import DRAWS, random_inputs
from quant.execution.run import FloatRun
from quant.execution.shapes import settle_outputs
from quant.graph.file import read, save
from quant.graph.operators import opset
from quant.graph.provenance import strip_provenance
from quant.graph.types import TensorType, input_types

Array = npt.NDArray[np.generic]

# What sums of float32 products in another order cost: 2^-24 a product, thousands of products, and
# errors that add up over tens of layers.
TOLERANCE = 1e-4
# torch's dynamo exporter has no operators below this opset; it writes it whatever is asked for.
_OLDEST_DYNAMO_OPSET = 18
_EXPORTED = "exported.onnx"
# In this mode it leaves BatchNorm alone, for `fold_into_convolutions`. The network is in evaluation
# mode already, and stays so.
_WITHOUT_FOLDING = {"training": torch.onnx.TrainingMode.PRESERVE}


def run(job: Job[ExportParams]) -> None:
    """Writes out/model.onnx. Its outputs are compared with the network's on random inputs."""
    torch.set_num_threads(1)
    network = load_network(job)
    types = _declared(job.params.inputs)
    draws = [random_inputs(types, draw) for draw in range(DRAWS)]
    called = ", ".join(f"{name} {type_}" for name, type_ in types.items())
    with torch.no_grad(), errors_told(model_folder(job), f"running the network on {called} failed"):
        returned = [network(*_tensors(draw)) for draw in (*draws, draws[0])]
    outputs = [_outputs(value) for value in returned]
    names = _output_names(outputs[0], job.params)
    _require_repeatable(outputs[0], outputs[-1], names)
    if not _is_flat(returned[0]) and not isinstance(network, torch.jit.ScriptModule):
        network = _Flat(network)
    seed()
    _export(network, draws[0], names, job.params.source, job.scratch / _EXPORTED)
    expected = [dict(zip(names, out.values(), strict=True)) for out in outputs[: len(draws)]]
    _finish(job, types, draws, expected)


def _declared(inputs: Mapping[str, Declared]) -> dict[str, TensorType]:
    """The recipe's inputs: their names and order are what the graph gets."""
    if not inputs:
        raise Refusal(
            "the recipe has no `inputs`", "a torch network needs them, each with its `shape`"
        )
    for name, told in inputs.items():
        if told.shape is None:
            raise Refusal(f"input `{name}` has no `shape`", "a torch network does not say its own")
    return {name: TensorType(told.shape, told.dtype) for name, told in inputs.items()}


def _tensors(inputs: Mapping[str, Array]) -> tuple[torch.Tensor, ...]:
    # Copied: a network may write into its input.
    return tuple(torch.from_numpy(array.copy()) for array in inputs.values())


def _outputs(returned: object) -> dict[tuple[object, ...], Array]:
    """Where each tensor stands in what the network returned -> its values."""
    leaves, _ = pytree.tree_flatten_with_path(returned)
    found = {path: value for path, value in leaves if isinstance(value, torch.Tensor)}
    if not found:
        raise Refusal("the network returns no tensor", "return a tensor, or several in a tuple")
    for value in found.values():
        if value.dtype in (torch.bfloat16, torch.complex64, torch.complex128):
            raise Refusal(f"the network returns {value.dtype}", "convert it: `.float()`")
    return {path: value.detach().numpy() for path, value in found.items()}


def _output_names(outputs: Mapping[tuple[object, ...], Array], params: ExportParams) -> list[str]:
    """The recipe's names; else the keys of a returned dictionary; else `output`, `output_0` ..."""
    wanted = list(params.outputs)
    if wanted and len(wanted) != len(outputs):
        raise Refusal(
            f"the recipe names {len(wanted)} outputs, the network returns {len(outputs)}",
            "name each, in the order in which they are returned",
        )
    if wanted:
        return wanted
    if len(outputs) == 1:
        return ["output"]
    names = ["_".join(map(_step_name, path)) for path in outputs]
    if len(set(names)) < len(names) or not all(map(str.isidentifier, names)):
        return [f"output_{number}" for number in range(len(names))]
    return [f"output_{name}" if name in params.inputs else name for name in names]


def _step_name(step: object) -> str:
    """`logits` for a dictionary's entry, `0` for a tuple's."""
    return str(getattr(step, "key", getattr(step, "idx", step)))


def _require_repeatable(
    one: Mapping[tuple[object, ...], Array],
    other: Mapping[tuple[object, ...], Array],
    names: Sequence[str],
) -> None:
    for name, path in zip(names, one, strict=True):
        if not np.array_equal(one[path], other[path], equal_nan=one[path].dtype.kind == "f"):
            raise Refusal(
                f"output `{name}` differs between two runs on the same input",
                "the network draws random numbers in evaluation mode; F.dropout needs "
                "`training=self.training`",
            )


class _Flat(nn.Module):  # type: ignore[misc]
    """A network whose outputs come as one tuple: the exporter loses the order of nested ones."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        leaves = pytree.tree_leaves(self.network(*inputs))
        return tuple(leaf for leaf in leaves if isinstance(leaf, torch.Tensor))


def _is_flat(returned: object) -> bool:
    if isinstance(returned, (tuple, list)):
        return all(isinstance(item, torch.Tensor) for item in returned)
    return isinstance(returned, torch.Tensor)


def _export(
    network: nn.Module,
    inputs: Mapping[str, Array],
    outputs: Sequence[str],
    source: Source,
    file: Path,
) -> None:
    """Write the graph to `file`."""
    is_dynamo = source.exporter == "dynamo"
    wanted = max(source.opset, _OLDEST_DYNAMO_OPSET) if is_dynamo else source.opset
    options: dict[str, Any] = {"external_data": False} if is_dynamo else _WITHOUT_FOLDING
    try:
        with torch.no_grad():
            torch.onnx.export(
                network,
                _tensors(inputs),
                str(file),
                dynamo=is_dynamo,
                opset_version=wanted,
                input_names=list(inputs),
                output_names=list(outputs),
                **options,
            )
    except Exception as error:  # torch.onnx raises a dozen types, several of them private
        raise Refusal(
            f"torch's {source.exporter} exporter failed: {_brief(error)}",
            f"try `exporter: {'torchscript' if is_dynamo else 'dynamo'}`, another `opset`, or "
            "rewrite the operation in the network",
        ) from error


def _brief(error: Exception) -> str:
    """The message's first line, and that of the error which caused it."""
    lines = [f"{type(error).__name__}: {_first_line(error)}"]
    if error.__cause__ is not None:
        lines.append(f"{type(error.__cause__).__name__}: {_first_line(error.__cause__)}")
    return "\n".join(lines)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["(no message)"])[0]


def _finish(
    job: Job[ExportParams],
    types: Mapping[str, TensorType],
    draws: Sequence[Mapping[str, Array]],
    expected: Sequence[Mapping[str, Array]],
) -> None:
    """Make the exported file the same everywhere, compare it with the network, write it."""
    source = job.params.source
    model = read(job.scratch / _EXPORTED)
    strip_provenance(model)
    if source.exporter == "torchscript":
        model = fold_into_convolutions(model)
    for name in types:
        if name not in input_types(model):
            raise Refusal(
                f"the network does not use its input `{name}`",
                "remove it from `inputs` and from the network's arguments",
            )
    bind(job.params.inputs, input_types(model))
    changes = settle_outputs(model)
    if opset(model) != source.opset:
        changes.append(f"opset {source.opset} was asked for, the exporter wrote {opset(model)}")
    found = differences(expected, map(FloatRun(model), draws))
    require_close(
        found,
        TOLERANCE,
        "the exported graph does not compute what the network does",
        "tracing fixes Python branches and loops on values; try "
        f"`exporter: {'torchscript' if source.exporter == 'dynamo' else 'dynamo'}`",
    )
    save(model, job.out / "model.onnx")
    ExportNotes(
        exporter=f"torch {torch.__version__} {source.exporter}",
        changes=changes,
        maximum_difference=bounds(found),
    ).save(job.scratch)
