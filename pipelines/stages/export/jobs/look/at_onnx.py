"""look at an ONNX file (toolchain core): its inputs, who made it, what its first nodes do."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import onnx

from pipelines.run.jobs.job import Job
from pipelines.stages.export.jobs.look.seen import Look, told
from pipelines.stages.export.jobs.params import LookParams
from pipelines.stages.export.jobs.source_file import source_file
from quant.graph.file import parse
from quant.graph.operators import opset
from quant.graph.tensors import tensors
from quant.graph.types import input_types

_ULTRALYTICS = {"stride", "task", "names", "imgsz"}  # what its exporter writes into every file
_SCALING = ("Sub", "Add", "Mul", "Div", "BatchNormalization")
_PASSED = ("Transpose", "Cast", "Identity")  # what may stand before it


def run(job: Job[LookParams]) -> None:
    model = parse(source_file(job), job.params.source.file)
    types = input_types(model)
    made = " ".join(filter(None, (model.producer_name, model.producer_version)))
    about = f"opset {opset(model)}" + (f", by {made}" if made else "")
    look = Look({name: told(type_) for name, type_ in types.items()}, about)
    look.sides = sorted(set(_sides(model)))
    look.operators = sorted({node.op_type for node in model.graph.node if not node.domain})
    props = {entry.key: entry.value for entry in model.metadata_props}
    if props.keys() >= _ULTRALYTICS and "Ultralytics" in props.get("author", ""):
        _tell_ultralytics(look, props)
    elif own := _own_scaling(model, set(types)):
        look.pixels = {
            "reason": f"the network begins with {', '.join(own)} by constants: it scales pixels "
            "itself"
        }
    look.save(job)


def _sides(model: onnx.ModelProto) -> Iterator[str]:
    for tensor in tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield from (entry.value for entry in tensor.external_data if entry.key == "location")


def _tell_ultralytics(look: Look, props: dict[str, str]) -> None:
    reason = "its metadata says that Ultralytics made it"
    look.pixels = {
        "mean": [0.0],
        "std": [255.0],
        "color": "rgb",
        "resize": "letterbox",
        "reason": f"{reason}, whose networks take RGB pixels / 255, letterboxed",
    }
    size = ast.literal_eval(props["imgsz"])
    for name, given in look.inputs.items():
        if given["shape"] and None in given["shape"] and len(given["shape"]) == 4:
            look.inputs = {**look.inputs, name: {**given, "shape": [1, 3, *size]}}
            look.shape_reasons[name] = {"reason": f"imgsz in its metadata, {size}"}


def _own_scaling(model: onnx.ModelProto, inputs: set[str]) -> list[str]:
    """Operators between an input and the first layer that scale it by constants."""
    constants = {tensor.name for tensor in model.graph.initializer}
    made = {name: node for node in model.graph.node for name in node.output}
    constants |= {name for name, node in made.items() if node.op_type == "Constant"}
    found, at = [], set(inputs)
    for node in model.graph.node:
        if at.isdisjoint(node.input):
            continue
        if node.op_type in _SCALING and all(n in constants or n in at for n in node.input):
            found.append(node.op_type)
        elif node.op_type not in _PASSED:
            continue
        at = set(node.output)
    return found
