"""Which tensors of a quantized network stay float: the SDK's *.quantization.cfg, and its result.

The file is edited as text. Read and written again by a YAML library, its numbers may change in the
last digit, and the SDK then refuses it (`['scale'] is not allowed to be modified!`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from pipelines.backends.rknn.compiled_graph import Operator
from pipelines.backends.rknn.log import Layer
from pipelines.jobs.refusal import Refusal
from pipelines.where import did_you_mean

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


def check_names(layers: Mapping[str, str], graph: onnx.GraphProto) -> None:
    """Raise Refusal where a name is no tensor that the SDK takes, with the nearest that is.

    graph: of the *.model file of step 1. The SDK takes tensors that an operator makes; not inputs,
    constants, or the names of nodes.
    """
    known = {name for node in graph.node for name in node.output if name}
    for asked in layers:
        if asked in known:
            continue
        node = next((node for node in graph.node if node.name == asked), None)
        if node:
            raise Refusal(
                f"build.layers names `{asked}`, which is a node, not a tensor",
                f"it makes `{node.output[0]}`: write that",
            )
        raise Refusal(
            f"build.layers names `{asked}`; the network as the SDK rewrote it has no such tensor",
            did_you_mean(asked, known, "its tensors"),
        )


def load_graph(model: Path) -> onnx.GraphProto:
    """The graph of a *.model file, which is ONNX with the SDK's operators."""
    return onnx.load(str(model)).graph


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
