"""Which ONNX input stands for which TFLite input, and in which order of axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quant.fault import Fault
from quant.nearest import nearest
from quant.tflite.building.graph import Graph, Tensor
from quant.tflite.building.layout import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    Order,
    arrange,
    inverse,
    plain,
)

TO_CHANNELS_LAST = [0, 2, 3, 1]


@dataclass(frozen=True)
class Port:
    """An input or output of the ONNX network. shape: as TFLite counts axes."""

    index: int
    name: str
    shape: tuple[int, ...]
    order: Order

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return arrange(self.shape, self.order)


def bind(graph: Graph, wanted: Mapping[str, Sequence[int] | None]) -> list[Port]:
    """The network's inputs, in the file's order, as the recipe wants them.

    wanted: input name -> shape, or None. A name is the tensor's, the tensor's as made valid for
    ONNX, or the signature's; the ONNX input gets it. An input that isn't named keeps its own
    name. A 4-D input is N, C, H, W unless only the file's own order fits the wanted shape.
    Raises Fault on an unknown name and on a shape that fits neither way.
    """
    names = {find(graph, name): name for name in wanted}
    ports = []
    for index in graph.inputs:
        name = names.get(index, graph.label(index))
        shape = wanted.get(name)
        orders = possible_orders(graph, index)
        ports.append(port(graph.tensors[index], name, orders, tuple(shape) if shape else None))
    return ports


def find(graph: Graph, name: str) -> int:
    """The input that a recipe's name means."""
    known = {graph.tensors[i].name: i for i in graph.inputs}
    known.update({graph.label(i): i for i in graph.inputs})
    known.update({alias: i for alias, i in graph.aliases.items() if i in graph.inputs})
    if name in known:
        return known[name]
    near = nearest(name, known)
    listing = ", ".join(f"`{graph.tensors[i].name}`" for i in graph.inputs)
    advice = f"did you mean `{near}`? " if near else ""
    raise Fault(
        f"the TFLite file has no input `{name}`", f"{advice}the file's inputs are {listing}"
    )


def possible_orders(graph: Graph, index: int) -> list[Order]:
    """How an input may be stored, the preferred way first.

    A file made from PyTorch may take N, C, H, W and transpose it itself.
    """
    rank = len(graph.tensors[index].shape)
    if rank != 4:
        return [plain(rank)]
    readers = graph.consumers.get(index, ())
    perms = [graph.tensors[op.inputs[1]].data for op in readers if op.kind == "TRANSPOSE"]
    transposed = [perm is not None and perm.tolist() == TO_CHANNELS_LAST for perm in perms]
    if transposed and all(transposed) and len(transposed) == len(readers):
        return [CHANNELS_LAST, CHANNELS_FIRST]
    return [CHANNELS_FIRST, CHANNELS_LAST]


def port(
    tensor: Tensor, name: str, orders: Sequence[Order], wanted: tuple[int, ...] | None
) -> Port:
    """One input with its shape and order decided."""
    if wanted is None:
        if any(n < 0 for n in tensor.signature[1:]):
            raise Fault(
                f"the input `{name}` has no fixed shape in the TFLite file: "
                f"{list(tensor.signature)}",
                f"give its shape in the recipe: `inputs: {{{name}: {{shape: [...]}}}}`",
            )
        return Port(tensor.index, name, tensor.shape, orders[0])
    for order in orders:
        if len(wanted) == len(order):
            shape = arrange(wanted, inverse(order))
            if fits(tensor, shape):
                return Port(tensor.index, name, shape, order)
    fitting = " or ".join(
        str([("any" if n < 0 else n) for n in arrange(tensor.signature, o)]) for o in orders
    )
    raise Fault(
        f"the recipe's shape {list(wanted)} does not fit the TFLite input `{name}`",
        f"the file has {fitting}" + (" (channels first or last)" if len(orders) > 1 else ""),
    )


def fits(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether an input may have a shape; its first axis, the batch, may be any."""
    pairs = zip(tensor.signature[1:], shape[1:], strict=True)
    return all(have in (-1, want) for have, want in pairs) and min(shape, default=1) > 0
