"""bytes.json: where the bytes of a compiled model are, and which node of the network needs them.

file_bytes, source_bytes   of the .rknn, and of the network in ONNX before quantization
container                  the file's format
weight_bits, is_integer    width that the build asks for; whether it asks for integers throughout
kinds                      kind -> bytes, see quant.report.ledger; they add up to file_bytes
unexplained                the bytes of that kind
nodes                      {node, op, group, weights, bytes, kinds, tensors, layers}, the largest
                           first: nodes of the network that was loaded; node null for bytes that
                           are no node's; weights: shapes of its constants
tensors                    {name, offset, bytes, kind, kinds, dtype, shape, node, is_hidden,
                           zero_bytes} of all data in the file, in its order; kind: the largest of
                           kinds; zero_bytes: how many of its bytes are 0
layers                     {id, op, name, node, inputs}: the compiled layers, with the shapes of the
                           tensors between layers that they read
outputs                    {name, nodes, bytes}: what would go with each output of the network
rules                      {rule, removed, added, nodes}: rewrites of the SDK, and whom they met
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipelines.backends.rknn.file.dtypes import PREQUANTIZED
from pipelines.backends.rknn.file.provenance import Provenance
from quant.report.bytes_report import BytesReport
from quant.report.ledger import KINDS, Ledger, LedgerEntry, split
from quant.report.source_network import Node, SourceNetwork, Weight
from quant.rknn import bias as rknn_bias
from quant.rknn import commands as rknn_commands
from quant.rknn import layout as rknn_layout
from quant.rknn.file import RknnFile, Tensor
from quant.rknn.parts import BETWEEN, COMMANDS, CONSTANT, CONSTANT_TOO, HIDDEN, TASKS

BITS = {
    "FLOAT": 32, "INT8": 8, "UINT8": 8, "INT16": 16, "INT32": 32, "INT64": 64, "BOOL": 8,
    "FLOAT16": 16,
}  # fmt: skip
WHOLE_NUMBERS = ("INT64", "BOOL")  # what shapes and axes are in
RECURRENT = (
    "LSTM",
    "GRU",
    "RNN",
)  # their weights' shapes in the file are one gate's, or two gates'
PART = re.compile(r"(?P<whole>.+)_(?:tile|branch)\d+")
INPUT_OF = re.compile(r"(?P<layer>.+)_i(?P<index>\d+)")


class Build(NamedTuple):
    """What the build told. rules: of build.json. dtype: the recipe's quantize.dtype."""

    source_bytes: int
    dtype: str
    rules: Sequence[Mapping[str, Any]]

    @property
    def weight_bits(self) -> int:
        """8 for w8a8, 16 for float16 and w16a16i_dfp; a prequantized network has int8."""
        match = re.match(r"w(\d+)a", self.dtype)
        if match:
            return int(match[1])
        return 16 if self.dtype == "float16" else 8

    @property
    def is_integer(self) -> bool:
        """Whether activations are integers too: those of w4a16 and w8a16 are not."""
        return self.dtype in ("w8a8", PREQUANTIZED) or "16i" in self.dtype


def make(
    file: RknnFile, source: SourceNetwork | None, build: Build, *, counts_zeros: bool = True
) -> BytesReport:
    """bytes.json without findings. Raises Fault on a damaged file, LedgerError on one byte too few.

    counts_zeros: else zero_bytes is null but for hidden tensors, which is faster.

    source: what the SDK loaded, None where that is no ONNX: compiled layers then stand for nodes.
    """
    network = source or _compiled_network(file)
    origin = Provenance(network, build.rules, file.graphs)
    constants = list(_constants(file))
    shares = _shares(constants, network, origin)
    entries = [
        *_outside(file, origin),
        *(entry for one in constants for entry in _constant(one, shares, build, origin)),
        *_commands(file, origin),
    ]
    ledger = Ledger(len(file.data), entries)
    layers = _layers(file, origin)
    return BytesReport(
        file_bytes=ledger.file_bytes,
        source_bytes=build.source_bytes,
        container=file.container,
        weight_bits=build.weight_bits,
        is_integer=build.is_integer,
        kinds=ledger.kinds(),
        unexplained=ledger.kinds()["unexplained"],
        nodes=[_node_row(row, network, layers) for row in ledger.nodes()],
        tensors=list(_tensor_rows(file, constants, ledger, origin, counts_zeros)),
        layers=layers,
        outputs=list(_output_rows(network, ledger)),
        rules=[_rule(rule, origin) for rule in build.rules],
    )


def _compiled_network(file: RknnFile) -> SourceNetwork:
    """The layers as nodes; constants that are not hidden as their weights."""
    nodes = [
        Node(
            name=operator.name.partition(":")[2] or operator.outputs[0],
            op=operator.op_type,
            inputs=operator.inputs,
            outputs=operator.outputs,
            reads=frozenset(operator.inputs),
            group=1,
        )
        for operator in itertools.chain(*file.graphs[:1])
        if operator.outputs
    ]
    weights = {
        tensor.name: Weight(tensor.name, tensor.shape, tensor.dtype not in WHOLE_NUMBERS)
        for tensor in itertools.chain(*file.tensors)
        if tensor.kind in (CONSTANT, CONSTANT_TOO)
    }
    return SourceNetwork(nodes, weights, file.outputs)


def _constants(file: RknnFile) -> Iterator[Tensor]:
    """Tensors with data of their own; subgraphs share theirs."""
    seen = set()
    for tensors in file.tensors:
        seen |= {tensor.offset for tensor in _lists(tensors) if tensor}
        for tensor in tensors:
            if tensor.size_bytes and tensor.offset not in seen:
                seen.add(tensor.offset)
                yield tensor


def _lists(tensors: Sequence[Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """A subgraph's commands and tasks."""
    commands = next((t for t in tensors if t.kind == COMMANDS and t.size_bytes), None)
    return commands, next((t for t in tensors if t.kind == TASKS and t.size_bytes), None)


def _shares(
    constants: Sequence[Tensor], network: SourceNetwork, origin: Provenance
) -> dict[str, int]:
    """Tensor -> elements that it holds of the network's constants.

    Parts of one constant, as tiling leaves them, divide what it has among them.
    """
    found: dict[tuple[str, str], list[Tensor]] = {}
    weights: dict[tuple[str, str], Weight] = {}
    for tensor in constants:
        if weight := _weight(tensor, network, origin):
            node = origin.of_tensor(tensor.name)
            key = (weight.name, node.name if node else "")
            weights[key] = weight
            found.setdefault(key, []).append(tensor)
    shares = {}
    for key, tensors in found.items():
        is_recurrent = key[1] in network.nodes and network.nodes[key[1]].op in RECURRENT
        if is_recurrent and len(tensors) == 1:
            shares[tensors[0].name] = weights[key].elements
            continue
        held = [_elements(tensor) for tensor in tensors]
        left, room = min(weights[key].elements, sum(held)), sum(held)
        for tensor, size in zip(tensors, held, strict=True):
            shares[tensor.name] = left * size // room if room else 0
            left, room = left - shares[tensor.name], room - size
    return shares


def _weight(tensor: Tensor, network: SourceNetwork, origin: Provenance) -> Weight | None:
    """The network's constant that a tensor holds, or a part of."""
    if tensor.kind == HIDDEN:
        return None
    part = PART.fullmatch(tensor.name)
    names = [tensor.name, *([part["whole"]] if part else [])]
    found = next((network.weights[name] for name in names if name in network.weights), None)
    for name in names:
        match = INPUT_OF.fullmatch(name)
        node = origin.of_name(match["layer"]) if match else None
        if found is None and match and node and match["layer"].startswith(node.name):
            found = network.weight(node, int(match["index"]))
    found = found or _same_elements(tensor, network, origin)
    if found and found.is_float and tensor.dtype in WHOLE_NUMBERS:
        return None
    return found


def _same_elements(tensor: Tensor, network: SourceNetwork, origin: Provenance) -> Weight | None:
    """A constant that the SDK gave a name of its own, when it folded something into it."""
    node = origin.of_tensor(tensor.name)
    if node is None or node.name in tensor.name or tensor.name.endswith("CfgTensor"):
        return None
    of_node = [one for one in network.node_weights(node) if one.elements == _elements(tensor)]
    is_bias = re.search(r"_bias_\d+$", tensor.name)
    return of_node[0] if of_node and not is_bias else None


def _elements(tensor: Tensor) -> int:
    return math.prod(tensor.shape)


def _constant(
    tensor: Tensor, shares: Mapping[str, int], build: Build, origin: Provenance
) -> Iterator[LedgerEntry]:
    node = origin.of_tensor(tensor.name)
    filling = "zero_fill" if node and node.group > 1 else "copies"
    kinds = _kinds(tensor, shares.get(tensor.name), build.weight_bits, filling)
    for kind, size in kinds.items():
        yield LedgerEntry(kind, size, node.name if node else None, tensor.name, tensor.offset)


def _kinds(tensor: Tensor, own: int | None, bits: int, filling: str) -> dict[str, int]:
    """own: how many elements are the network's; None for a constant that it does not have.

    filling: what the other elements are.
    """
    if own is None:
        return {"compiler_constant": tensor.size_bytes}
    stored_bits = BITS.get(tensor.dtype, bits)
    elements = max(_elements(tensor), own)
    total, payload = _bytes(elements, stored_bits), _bytes(own, min(bits, stored_bits))
    filled = _bytes(elements, min(bits, stored_bits)) - payload
    is_bias = tensor.dtype == "INT32" and len(tensor.shape) == 1
    if rknn_bias.is_in_blocks(tensor):
        scales = elements * rknn_bias.SCALE_BYTES
    else:
        scales = total if is_bias and tensor.size_bytes >= 2 * total else 0
    needs = {
        "payload": payload,
        filling: filled,
        "widening": total - payload - filled,
        "channel_scales": scales,
    }
    return split(needs, tensor.size_bytes, "alignment")


def _bytes(elements: int, bits: int) -> int:
    return (elements * bits + 7) // 8


def _outside(file: RknnFile, origin: Provenance) -> Iterator[LedgerEntry]:
    """Header, tables and padding: thousands of parts, added up by kind and node."""
    held: dict[str, Counter[str | None]] = defaultdict(Counter)
    last, node = None, None
    for start, end, what, graph, owner in rknn_layout.spans(file):
        if owner and owner is not last:  # else of the same as the part before, as most are
            last, node = owner, _owner(graph, owner, origin)
        held[what][node if owner else None] += end - start
    for what, sizes in held.items():
        for name, size in sizes.items():
            yield LedgerEntry(what, size, name)


def _owner(graph: int, owner: rknn_layout.Owner, origin: Provenance) -> str | None:
    """The node that a part of the tables is there for."""
    of_what, which = owner
    if of_what == "operator":
        node = origin.of_operator(graph, int(which))
    else:
        node = origin.of_tensor(str(which))
    return node.name if node else None


def _commands(file: RknnFile, origin: Provenance) -> Iterator[LedgerEntry]:
    seen: set[int] = set()
    for i, tensors in enumerate(file.tensors):
        commands, tasks = _lists(tensors)
        data = file.data[tasks.offset : tasks.offset + tasks.size_bytes] if tasks else b""
        size = commands.size_bytes if commands else 0
        divided = rknn_commands.by_layer(data, size, len(file.graphs[i]))
        for kind, tensor, held in (
            ("commands", commands, divided.commands),
            ("tasks", tasks, divided.tasks),
        ):
            if tensor is None or tensor.offset in seen:
                continue
            seen.add(tensor.offset)
            for layer, length in held.items():
                node = origin.of_operator(i, layer) if layer is not None else None
                name = node.name if node else None
                yield LedgerEntry(kind, length, name, tensor.name, tensor.offset)


def _layers(file: RknnFile, origin: Provenance) -> list[dict[str, Any]]:
    """The layers of the first subgraph, as build.json has them."""
    if not file.graphs:
        return []
    shapes = {t.name: list(t.shape) for t in file.tensors[0] if t.kind in BETWEEN}
    rows = []
    for i, operator in enumerate(file.graphs[0]):
        node = origin.of_operator(0, i)
        read = [shapes[n] for n in operator.inputs if n in shapes and "_exSecondary" not in n]
        rows.append(
            {
                "id": i,
                "op": operator.op_type,
                "name": operator.name.partition(":")[2],
                "node": node.name if node else None,
                "inputs": read,
            }
        )
    return rows


def _node_row(
    row: Mapping[str, Any], network: SourceNetwork, layers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    node: Node | None = network.nodes.get(row["node"])
    return {
        "node": row["node"],
        "op": node.op if node else None,
        "group": node.group if node else None,
        "weights": [list(one.shape) for one in network.node_weights(node)] if node else [],
        "bytes": row["bytes"],
        "kinds": row["kinds"],
        "tensors": row["tensors"],
        "layers": [layer["id"] for layer in layers if node and layer["node"] == node.name],
    }


def _tensor_rows(
    file: RknnFile,
    constants: Sequence[Tensor],
    ledger: Ledger,
    origin: Provenance,
    counts_zeros: bool,
) -> Iterator[dict[str, Any]]:
    kinds = ledger.tensors()
    lists = [tensor for ts in file.tensors for tensor in _lists(ts) if tensor]
    once = {tensor.offset: tensor for tensor in lists}
    for tensor in sorted([*constants, *once.values()], key=lambda one: (one.offset, one.name)):
        held = kinds[tensor.name, tensor.offset]
        is_list, is_hidden = tensor.offset in once, tensor.kind == HIDDEN
        node = None if is_list else origin.of_tensor(tensor.name)
        yield {
            "name": tensor.name,
            "offset": tensor.offset,
            "bytes": tensor.size_bytes,
            "kind": max(KINDS, key=lambda kind: held.get(kind, 0)),
            "kinds": held,
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "node": node.name if node else None,
            "is_hidden": is_hidden,
            "zero_bytes": file.zero_bytes(tensor) if counts_zeros or is_hidden else None,
        }


def _output_rows(network: SourceNetwork, ledger: Ledger) -> Iterator[dict[str, Any]]:
    held = {row["node"]: row["bytes"] for row in ledger.nodes()}
    for output in network.outputs:
        names = sorted(network.only_for(output))
        yield {
            "name": output,
            "nodes": len(names),
            "bytes": sum(held.get(name, 0) for name in names),
        }


def _rule(rule: Mapping[str, Any], origin: Provenance) -> dict[str, Any]:
    names = [*rule["removed"], *rule["added"]]
    nodes = {node.name for name in names if (node := origin.of_name(name))}
    return {
        "rule": rule["rule"],
        "removed": list(rule["removed"]),
        "added": list(rule["added"]),
        "nodes": sorted(nodes),
    }
