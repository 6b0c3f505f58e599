"""The TFLite file gives the reference's very numbers, with XNNPACK and without any delegate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from quant.fault import Fault
from quant.fixed_point.network import guard, reference
from quant.fixed_point.network import network as net
from quant.fixed_point.network.network import Network, Rescale
from quant.fixed_point.tflite.run import TFLiteRun
from quant.fixed_point.tflite.to_tflite import to_tflite
from quant.fixed_point.tflite.whole_numbers import fractional_parameters
from tests.integer_networks import STEPS, IntegerNetwork, one_step, walk
from tests.vacuous import some

CLIP = Rescale(np.array(0))


def agree(network: Network, values: Mapping[str, NDArray[Any]]) -> None:
    """Equal outputs, and no fraction in the file."""
    wanted = reference.outputs(network, reference.run(network, values))
    raw = to_tflite(network, "network")
    assert fractional_parameters(raw) == []
    for has_delegates in (True, False):
        made = TFLiteRun(raw, has_delegates)(values)
        for name, expected in some(wanted.items()):
            np.testing.assert_array_equal(made[name], expected, f"{name} {has_delegates=}")


@pytest.mark.parametrize("kind", sorted(STEPS))
def test_each_operation_alone(kind: str) -> None:
    for seed in range(8):
        agree(*one_step(kind, seed))


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_random_networks(first: int) -> None:
    for seed in range(first, first + 50):
        agree(*walk(seed))


def test_a_tensor_within_a_chain_of_reshapes_is_read_again() -> None:
    """LiteRT's own memory planner loses the middle of such a chain."""
    n = IntegerNetwork(0)
    x = n.real(3, 6)
    middle = n.add(net.Reshape, (3, 2, 3), x)
    last = n.add(net.Reshape, (3, 6), middle)
    scaled = n.add(net.Requantize, (3, 6), last, Rescale(np.array(1), bias=np.array(7)))
    agree(n.network(scaled, scaled, middle), n.draw())


def test_a_tensor_and_its_transposition_are_both_wanted_in_the_other_order() -> None:
    n = IntegerNetwork(0)
    x = n.real(1, 4, 5, 6)
    turned = n.add(net.Transpose, (1, 5, 6, 4), x, (0, 2, 3, 1))
    flat = n.add(net.Reshape, (1, 120), x)
    pooled = n.add(net.MaxPool, (1, 5, 5, 3), turned, (2, 2))
    agree(n.network(flat, pooled, turned), n.draw())


def test_index_inputs_of_two_types() -> None:
    n = IntegerNetwork(0)
    rows = []
    for dtype in ("int32", "int64"):
        cut = n.add(net.Slice, (1, 4), n.indices(2, 4, dtype=dtype), (0, 0), (1, 4), (1, 1))
        rows.append(n.add(net.Embedding, (1, 4, 5), n.codes(7, 5), cut))
    agree(n.network(n.add(net.Concat, (1, 4, 10), tuple(rows), 2)), n.draw())


def _wide(kind: str) -> Network:
    """A layer whose sums pass 2^24, so that it is written as two."""
    n = IntegerNetwork(0)
    if kind == "matrix":
        x, weight = n.real(1, 8192), n.codes(8192, 4)
        given = Rescale(np.full(4, 12), bias=n.codes(4, limit=3000))
        return n.network(n.add(net.MatrixProduct, (1, 4), x, weight, given))
    groups = 2 if kind == "groups" else 1
    x, weight = n.real(1, 600 * groups, 4, 4), n.codes(6, 600, 3, 3)
    after = Rescale(np.full((6, 1, 1), 13), bias_after=n.codes(6, 1, 1, limit=60))
    fields: dict[str, Any] = {"groups": groups, "pads": (1, 1, 1, 1)}
    return n.network(n.add(net.Convolution, (1, 6, 4, 4), x, weight, after, **fields))


@pytest.mark.parametrize("kind", ["matrix", "convolution", "groups"])
def test_sums_beyond_float32(kind: str) -> None:
    network = _wide(kind)
    assert guard.needs_split(network, network.operations[0])
    (given,) = network.inputs
    weight: Any = network.operations[0].weight  # type: ignore[union-attr]
    # Codes of the weights' own signs make the first channel's sum as large as it gets.
    first = weight[:, 0] if kind == "matrix" else np.resize(weight[0].sum(axis=(1, 2)), 600)
    shape = network.tensors[given.tensor].shape
    signs = np.sign(np.resize(first, shape[1])).reshape(-1, *(1,) * (len(shape) - 2))
    agree(network, {given.name: np.broadcast_to(signs * 99.0, shape).astype(np.float32)})


def test_the_same_bytes_twice() -> None:
    network, _ = walk(3)
    assert to_tflite(network, "network") == to_tflite(network, "network")


def test_xnnpack_takes_a_convolution_and_only_where_it_may() -> None:
    network, _ = one_step("convolution", 0)
    raw = to_tflite(network, "network")
    kinds = [
        {op["op_name"] for op in TFLiteRun(raw, has).interpreter._get_ops_details()}
        for has in (True, False)
    ]
    assert ["DELEGATE" in found for found in kinds] == [True, False]


def test_names_and_images_with_their_channels_last() -> None:
    n = IntegerNetwork(0)
    x = n.real(1, 3, 5, 6)
    middle = n.add(net.Requantize, (1, 3, 5, 6), x, CLIP)
    network = n.network(n.add(net.Lookup, (1, 3, 5, 6), middle, n.codes(256)))
    model = schema.ModelT.InitFromPackedBuf(to_tflite(network, "network"), 0)
    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    ports = [graph.tensors[int(i)] for i in (*graph.inputs, *graph.outputs)]
    assert [(p.name, list(p.shape)) for p in ports] == [
        (b"x0", [1, 5, 6, 3]),
        (b"y0", [1, 5, 6, 3]),
    ]
    assert signature.signatureKey == b"serving_default"
    assert [entry.name for entry in signature.inputs + signature.outputs] == [b"x0", b"y0"]
    assert {b"t0_q", b"t1_q", b"t2_q"} <= {tensor.name for tensor in graph.tensors}


def test_a_fraction_is_noticed() -> None:
    n = IntegerNetwork(0)
    x = n.real(1, 4)
    network = n.network(n.add(net.Affine, (1, 4), x, np.array(3), CLIP))
    model = schema.ModelT.InitFromPackedBuf(to_tflite(network, "network"), 0)
    (graph,) = model.subgraphs
    wanted = np.float32(3).tobytes()
    for tensor in graph.tensors:
        if _raw(model, tensor) == wanted:
            model.buffers[tensor.buffer].data = np.frombuffer(np.float32(3.5).tobytes(), np.uint8)
            spoiled = tensor.name.decode()
    assert fractional_parameters(_packed(model)) == [spoiled]


def _raw(model: Any, tensor: Any) -> bytes:
    data = model.buffers[tensor.buffer].data
    return b"" if data is None else bytes(data)


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_node_left_in_float_is_refused() -> None:
    n = IntegerNetwork(0)
    x = n.real(1, 4)
    network = n.network(n.add(net.FloatNode, (1, 4), b"", (("a", x),), {}, 15))
    with pytest.raises(Fault, match=r"`t1` is left in float"):
        to_tflite(network, "network")
