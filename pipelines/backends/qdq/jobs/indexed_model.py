"""onnxruntime's quantizer, asking a graph that knows its tensors by name.

It asks for each tensor's weight, readers and maker, and each of its own graph's answers is a walk
over all nodes or weights: the time grew with their square. It decides as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import onnx
from onnxruntime.quantization import base_quantizer, qdq_quantizer
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

_plain = qdq_quantizer.find_by_name
_ASKING = (base_quantizer, qdq_quantizer)


class IndexedQuantizer(QDQQuantizer):  # type: ignore[misc]
    """Whatever it takes for its model is an IndexedModel."""

    @property
    def model(self) -> IndexedModel:
        return self._model

    @model.setter
    def model(self, plain: Any) -> None:
        self._model = IndexedModel(plain.model)

    def quantize_model(self) -> Any:
        with _by_name():
            return super().quantize_model()


class IndexedModel(ONNXModel):  # type: ignore[misc]
    """Every change of nodes and weights goes through a method, which tells the index of it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__(model)
        self._forget()

    def _forget(self) -> None:
        """Look at all of the graph again when next asked."""
        self._known_weights: _Weights | None = None
        self._known_nodes: _Nodes | None = None

    @property
    def _weights(self) -> _Weights:
        self._known_weights = self._known_weights or _Weights(self.model.graph.initializer)
        return self._known_weights

    @property
    def _nodes(self) -> _Nodes:
        self._known_nodes = self._known_nodes or _Nodes(self.model.graph.node)
        return self._known_nodes

    def initializer(self) -> _Weights:
        return self._weights

    def initializer_extend(self, inits: Iterable[Any]) -> None:
        for tensor in inits:
            self._weights.add(self._check_init(tensor))

    def add_initializer(self, tensor: Any) -> None:
        if self._weights.named(tensor.name) is None:
            self._weights.add(self._check_init(tensor))

    def get_initializer(self, name: str) -> Any:
        return self._weights.named(name)

    def remove_initializer(self, tensor: Any) -> None:
        name = tensor.name
        super().remove_initializer(tensor)
        self._weights.forget(name)

    def input_name_to_nodes(self) -> dict[str, list[Any]]:
        return self._nodes.readers

    def add_node(self, node: Any) -> None:
        nodes = self._nodes
        super().add_node(node)
        nodes.note(self.model.graph.node[-1])

    def replace_input_of_all_nodes(self, old_input_name: str, new_input_name: str) -> None:
        for node in _renamed(self._nodes.readers, old_input_name, new_input_name):
            self.replace_node_input(node, old_input_name, new_input_name)

    def replace_output_of_all_nodes(self, old_output_name: str, new_output_name: str) -> None:
        for node in _renamed(self._nodes.makers, old_output_name, new_output_name):
            self.replace_node_output(node, old_output_name, new_output_name)

    def remove_node(self, node: Any) -> None:
        super().remove_node(node)
        self._forget()

    def replace_input_of_nodes(self, *names: Any) -> None:
        super().replace_input_of_nodes(*names)
        self._forget()

    def replace_output_of_nodes(self, *names: Any) -> None:
        super().replace_output_of_nodes(*names)
        self._forget()

    def clean_initializers(self) -> Any:
        cleaned = super().clean_initializers()
        self._forget()
        return cleaned

    def topological_sort(self) -> None:
        super().topological_sort()
        self._forget()


class _Nodes:
    """Name of a tensor -> the nodes that read and that make it, once a place."""

    def __init__(self, nodes: Iterable[Any]) -> None:
        self.readers: dict[str, list[Any]] = {}
        self.makers: dict[str, list[Any]] = {}
        for node in nodes:
            self.note(node)

    def note(self, node: Any) -> None:
        for names, index in ((node.input, self.readers), (node.output, self.makers)):
            for name in filter(None, names):  # an optional one may be left out
                index.setdefault(name, []).append(node)


def _renamed(index: dict[str, list[Any]], old: str, new: str) -> Iterable[Any]:
    """The nodes of a tensor, which is known by another name from now on."""
    if nodes := index.pop(old, []):
        index.setdefault(new, []).extend(nodes)
    return nodes


class _Weights:
    """The graph's initializers, which have names that differ."""

    def __init__(self, tensors: Any) -> None:
        self._tensors = tensors
        self._named = {tensor.name: tensor for tensor in reversed(tensors)}

    def __iter__(self) -> Iterator[Any]:
        return iter(self._tensors)

    def named(self, name: str) -> Any:
        return self._named.get(name)

    def add(self, tensor: Any) -> None:
        self._tensors.append(tensor)
        self._named.setdefault(tensor.name, self._tensors[-1])

    def forget(self, name: str) -> None:
        self._named.pop(name, None)


def _found(name: str, items: Any) -> Any:
    return items.named(name) if isinstance(items, _Weights) else _plain(name, items)


@contextmanager
def _by_name() -> Iterator[None]:
    """What the quantizer looks for weights with knows them by name."""
    for module in _ASKING:
        module.find_by_name = _found
    try:
        yield
    finally:
        for module in _ASKING:
            module.find_by_name = _plain
