"""Which tensors of a quantized network stay float: the SDK's *.quantization.cfg, and its result.

The file is edited as text. Read and written again by a YAML library, its numbers may change in the
last digit, and the SDK then refuses it (`['scale'] is not allowed to be modified!`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from pipelines.backends.rknn.file.compiled_graph import Operator
from pipelines.backends.rknn.sdk.refusals.log import Layer
from pipelines.files.where import did_you_mean
from pipelines.run.jobs.refusal import Refusal
from quant.graph.structure import structure

# In a recipe -> in the layer table.
DTYPES = {"float16": "FLOAT16", "int16": "INT16", "int8": "INT8"}

BLOCK = re.compile(r"custom_quantize_layers:(?P<inline> *\{\})?(?P<rest>[^\n]*)\n", re.ASCII)


def set_layers(config: str, layers: Mapping[str, str]) -> str:
    """The text of a *.quantization.cfg that also asks for `layers` (tensor -> dtype).

    What `custom_hybrid` or `proposal` wrote there stays. Raises ValueError on another kind of text.
    """
    block = BLOCK.match(config)
    if not block:
        raise ValueError("a quantization.cfg starts with `custom_quantize_layers:`")
    asked = "".join(f"    {json.dumps(name)}: {dtype}\n" for name, dtype in layers.items())
    body = config[block.end() :]
    return f"custom_quantize_layers:{block['rest']}\n{asked}{body}"


def tensors_of(
    layers: Mapping[str, str], graph: onnx.GraphProto, rules: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """`layers` by the names that the SDK takes. Raises Refusal with what to write instead.

    graph: of the *.model file of step 1. rules: of rules.json. The SDK takes tensors that an
    operator makes; not inputs, constants, or the names of nodes. An output of the network is the
    tensor before its last conversion.
    """
    converted = {name: before for before, name in output_names(graph).items()}
    known = {name for node in graph.node for name in node.output if name}
    for asked in layers:
        if asked not in known:
            raise Refusal(*_unknown(asked, graph, rules, known - set(converted.values())))
    return {converted.get(name, name): dtype for name, dtype in layers.items()}


def _unknown(
    asked: str, graph: onnx.GraphProto, rules: Sequence[Mapping[str, Any]], known: set[str]
) -> tuple[str, str]:
    """What is wrong with a name, and what it makes: a node's, the layer table's, or a lost one."""
    made = {node.name: node.output[0] for node in graph.node}
    node = asked if asked in made else asked.partition(":")[2]
    if node in made:
        what = "a node, not a tensor" if node == asked else "a layer's full name, not its tensor"
        advice = f"it makes `{made[node]}`: write that"
        return f"build.layers names `{asked}`, which is {what}", advice
    became = [name for rule in rules if node in rule["removed"] or asked in rule["removed"]
              for name in rule["added"] if name in made]  # fmt: skip
    what = f"build.layers names `{asked}`; the network as the SDK rewrote it has no such tensor"
    if became:
        return what, f"the SDK made it part of `{made[became[-1]]}`: write that"
    tensors = "its tensors, column `tensor` of the layer table"
    alike = [name for name in known if _operator(name) == _operator(asked)]
    # Without an equal operator, the most alike name would be another layer's: all are listed.
    return what, did_you_mean(asked if alike else "", alike or known, tensors)


def _operator(tensor: str) -> str:
    """`Conv_output_` of `/a/Conv_output_0`: two layers of a scope are alike but for this."""
    return re.sub(r"\d+", "", tensor.rpartition("/")[2])


def load_graph(model: Path) -> onnx.GraphProto:
    """The graph of a *.model file, which is ONNX with the SDK's operators.

    Large weights have no numbers: see quant.graph.structure.
    """
    return structure(model).graph


def output_names(graph: onnx.GraphProto) -> dict[str, str]:
    """What the compiled network calls a tensor that the *.model file only converts into an output.

    `scores_int8` before the last conversion is `scores` in the .rknn file.
    """
    outputs = {value.name for value in graph.output}
    return {
        node.input[0]: node.output[0]
        for node in graph.node
        if node.op_type == "exDataConvert" and node.output[0] in outputs
    }


def unheeded(
    asked: Mapping[str, str],
    renamed: Mapping[str, str],
    layers: Sequence[Layer],
    operators: Sequence[Operator],
) -> list[str]:
    """A sentence for each tensor that did not get the dtype it was asked to have.

    renamed: of `output_names`. layers, operators: the same list, from the log and the .rknn file.
    """
    made_by = {
        tensor: layer
        for layer, operator in zip(layers, operators, strict=True)
        for tensor in operator.outputs
    }
    found = []
    for tensor, dtype in asked.items():
        layer = made_by.get(renamed.get(tensor, tensor))
        if layer is None:
            found.append(
                f"{dtype} for `{tensor}` has no effect: no compiled layer makes that tensor"
            )
        elif layer.dtype != DTYPES[dtype]:
            found.append(
                f"{dtype} was asked for `{tensor}`, but layer {layer.id} ({layer.full_name}) that "
                f"makes it is {layer.dtype}"
            )
    return found
