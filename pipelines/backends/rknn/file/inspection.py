"""What an .rknn tells by itself: neither recipe nor SDK is needed.

file, file_bytes      its name and length
container             its format, see quant.rknn.parts
platform, toolkit,    what it was built for and by, as it says; source: the framework that the
compiler, source      network came from
custom_string         of RKNN.config, empty where none was given
digest                of all that npumake made it from (see pipelines.backends.rknn.sdk.origin), or
                      null
runtime               what is known of the runtime that it needs
batch                 of rknn_batch_size, 1 where none was asked for: the runtime takes and gives so
                      many samples at once, though shapes, commands and cycles are those of one
inputs, outputs       {name, shape, dtype, layout, stored_shape, scale, zero_point, minimum,
                      maximum} in the network's order; dtype and layout as the compiled network
                      takes and gives them; scale and the rest null where it says none
layers                {id, op, name, target, dtype, inputs, outputs, shape, node} of the first
                      graph; shape: of the first output
graphs                how many there are (dynamic_input has several)
kinds, unexplained,   as in bytes.json, with compiled layers in place of the network's nodes
nodes, tensors
findings              those that need no source
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines.backends.rknn.file import ledger, origin_text
from pipelines.backends.rknn.file.platforms import MINIMAL
from pipelines.backends.rknn.findings.bytes.table import findings
from quant.report.build_json import BuildReport
from quant.report.bytes_report import BytesReport
from quant.rknn import file as rknn_file
from quant.rknn import scales
from quant.rknn.file import Operator, RknnFile
from quant.rknn.flatbuffer import Damaged, Table
from quant.rknn.parts import BETWEEN, INPUT, OUTPUT, VERSION_6
from quant.rknn.texts import texts

_TARGETS = {0: "CPU", 2: "NPU"}
# Those that look at the file alone.
_NEED_NO_SOURCE = (
    *("unaligned_concat", "float_fallback", "register_commands", "cpu_layers", "alignment"),
)


def inspect(path: Path) -> dict[str, Any]:
    """Raises Fault on a file that is no .rknn, is encrypted, truncated or damaged, and OSError."""
    file = rknn_file.read_mapped(path)
    try:
        return _inspected(file)
    except Damaged as damage:
        raise rknn_file.damaged(file.name, len(file.data), damage) from None


def digest_of(path: Path) -> str | None:
    """The digest that a file carries. Raises as `inspect`."""
    file = rknn_file.read_mapped(path)
    try:
        return origin_text.digest_in(texts(file)["custom_string"])
    except Damaged as damage:
        raise rknn_file.damaged(file.name, len(file.data), damage) from None


def _inspected(file: RknnFile) -> dict[str, Any]:
    said = texts(file)
    inputs, outputs = _ends(file, INPUT, file.inputs), _ends(file, OUTPUT, file.outputs)
    layers = list(_layers(file))
    dtype = "w8a8" if any(row["dtype"] == "INT8" for row in layers) else "float16"
    held = ledger.make(file, None, ledger.Build(len(file.data), dtype, []), counts_zeros=False)
    return {
        "file": file.name,
        "file_bytes": len(file.data),
        "container": file.container,
        "platform": said["platform"],
        "toolkit": said["compiler"].partition("(")[0],
        "compiler": said["compiler"].partition("(")[2].removesuffix(")"),
        "source": said["source"],
        "custom_string": said["custom_string"],
        "digest": origin_text.digest_in(said["custom_string"]),
        "runtime": _runtime(file, said["platform"]),
        "batch": _batch(said.get("batch", "")),
        "inputs": inputs,
        "outputs": outputs,
        "graphs": len(file.graphs),
        "layers": layers,
        "kinds": held.kinds,
        "unexplained": held.unexplained,
        "nodes": held.nodes,
        "tensors": held.tensors,
        "findings": _findings(held, layers),
    }


def _batch(text: str) -> int:
    return max(1, int(text)) if text.isdecimal() else 1


def _ends(file: RknnFile, kind: int, names: Sequence[str]) -> list[dict[str, Any]]:
    """The first graph's inputs or outputs, in the network's order."""
    tables = file.root.tables(2)
    held = tables[0].tables(0) if tables else []
    pairs = zip(held, file.tensors[0] if file.tensors else (), strict=True)
    found = {
        tensor.name: _end(file, table, tensor) for table, tensor in pairs if tensor.kind == kind
    }
    return [found[name] for name in names if name in found]


def _end(file: RknnFile, table: Table, tensor: rknn_file.Tensor) -> dict[str, Any]:
    told = {} if tensor.dtype.startswith("FLOAT") else scales.told(file, table)
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "layout": _layout(tensor),
        "stored_shape": list(tensor.stored_shape),
        **{name: told.get(name) for name in ("scale", "zero_point", "minimum", "maximum")},
    }


def _layout(tensor: rknn_file.Tensor) -> str:
    """How its numbers stand: in the NPU's blocks, channels last, or as in the network."""
    if len(tensor.shape) != 4 or tensor.stored_shape == tensor.shape:
        return "as the shape"
    n, _, h, w = tensor.shape
    stored = tensor.stored_shape
    if len(stored) != 5 or stored[0] != n or stored[2:4] != (h, w):
        return "other"
    return "NHWC" if tensor.kind == INPUT and stored[1] == 1 else "NC1HWC2"


def _layers(file: RknnFile) -> Iterator[dict[str, Any]]:
    tables = file.root.tables(2)
    if not tables:
        return
    dtypes = {tensor.name: tensor.dtype for tensor in file.tensors[0]}
    shapes = {tensor.name: tensor.shape for tensor in file.tensors[0]}
    between = {tensor.name for tensor in file.tensors[0] if tensor.kind in BETWEEN}
    for i, (table, operator) in enumerate(zip(tables[0].tables(1), file.graphs[0], strict=True)):
        code = table.scalar(3, "<B")
        yield {
            "id": i,
            "op": operator.op_type,
            "name": operator.name.partition(":")[2],
            "target": _TARGETS.get(code, f"target {code}"),
            "dtype": _dtype(operator, dtypes),
            "inputs": [name for name in operator.inputs if name in between],
            "outputs": list(operator.outputs),
            "shape": list(shapes[operator.outputs[0]]) if operator.outputs else None,
        }


def _dtype(operator: Operator, dtypes: dict[str, str]) -> str:
    """The type that a layer computes: of what it reads first (a Gather its table), else makes."""
    reads = () if operator.op_type == "InputOperator" else operator.inputs
    names = itertools.chain(reads, operator.outputs)
    return next((dtypes[name] for name in names if name in dtypes), "")


def _runtime(file: RknnFile, platform: str) -> str:
    if file.version == VERSION_6:
        return "librknnrt 1.5.2 or later; 1.3.0 to 1.5.0 refuse container version 6"
    if platform in MINIMAL:
        return "librknnmrt 1.6.0 or later; 1.5.2 does not take what SDK 2.5.0 writes"
    return "not known"


def _findings(held: BytesReport, layers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The causes look at build.json too: its layers without what only the log has."""
    rows = [{**row, "op_type": row["op"], "cycles_total": None} for row in layers]
    build = BuildReport(layers=rows, outputs=[row["outputs"] for row in layers])
    return findings(held, build, _NEED_NO_SOURCE)
