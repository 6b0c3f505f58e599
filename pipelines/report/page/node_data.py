"""Node data for Google's Model Explorer, which shows errors and bytes on the graph.

Its format: {"results": {node: {"value": number}}, "gradient": [{"stop", "bgColor"}]}, one file a
quantity; a node is named by its id or an output tensor. Of an ONNX file the ids are node names (the
adapter model-explorer-onnx), of a TFLite file tensors are told.
Source: google-ai-edge/model-explorer, src/server/package/src/model_explorer/node_data_builder.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# From light to dark, readable without colours too; black text stands on all of them.
_GRADIENT = ((0, "#ffffe5"), (0.5, "#fec44f"), (1, "#ec7014"))


def make(target: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Quantity -> a file's content, of a target as target_page makes it.

    names: tensor -> the node of the simplified network that makes it. Quantities that the backend
    does not have are left out.
    """
    held = target["layers"]
    tensors = [names.get(tensor, tensor) for tensor in held["tensor"]]
    found: dict[str, dict[str, float]] = {}
    for quantity in ("entire", "single"):
        pairs = zip(tensors, held[quantity], strict=True)
        found[f"{quantity}_error"] = {
            name: max(0.0, 1 - cosine) for name, cosine in pairs if name and cosine is not None
        }
    cycles = zip(tensors, held["cycles"], strict=True)
    found["cycles"] = _summed((name, value) for name, value in cycles if name and value is not None)
    ledger = next(iter(target["ledgers"].values()))
    found["bytes"] = _summed((node[0], node[2]) for node in ledger["nodes"] if node[0])
    return {quantity: _data(values) for quantity, values in found.items() if values}


def _summed(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for name, value in pairs:
        total[name] = total.get(name, 0) + value
    return total


def _data(values: Mapping[str, float]) -> dict[str, Any]:
    return {
        "results": {name: {"value": value} for name, value in values.items()},
        "gradient": [{"stop": stop, "bgColor": colour} for stop, colour in _GRADIENT],
    }
