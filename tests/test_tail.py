"""A tail behind a cut network: the whole's outputs in its order, whatever shape heads come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from pipelines.stages.compare.jobs.accuracy import Array
from pipelines.stages.compare.jobs.tail import Tail
from quant.fault import Fault
from quant.graph.graph import Graph
from quant.rewrites.apply import apply
from quant.rewrites.table import RULES
from tests.graph_builder import parsed

WHOLE = """g (float[1,4,1,2] x) => (float[1,4,1,2] kept, float[1,8,1,2] y) {
    kept = Relu(x)  b = Sigmoid(x)  c = Neg(x)  y = Concat<axis: int = 1>(b, c)
}"""


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    whole = parsed(WHOLE)
    graph = Graph(whole)
    apply(RULES["split_concat"], graph)
    assert graph.tail is not None
    for name, model in (("float", whole), ("tail", graph.tail)):
        onnx.save(model, tmp_path / name)
    return {name: tmp_path / name for name in ("float", "tail")}


def heads(*shape: int) -> dict[str, Array]:
    return {name: np.full(shape, value, np.float64) for name, value in (("b", 1), ("c", 2))}


def test_outputs_are_the_whole_s_in_its_order(inputs: dict[str, Path]) -> None:
    kept = {"kept": np.zeros((1, 4, 1, 2))}
    network = Tail(inputs).behind(lambda arrays: {**heads(4, 2), **kept})
    made = network([])
    assert list(made) == ["kept", "y", "b", "c"]
    assert made["y"].shape == (1, 8, 1, 2)
    assert made["y"].reshape(8, 2).tolist() == [[1, 1]] * 4 + [[2, 2]] * 4


def test_a_prequantized_source_has_no_whole_in_float(inputs: dict[str, Path]) -> None:
    del inputs["float"]
    assert list(Tail(inputs).behind(lambda arrays: heads(1, 4, 1, 2))([])) == ["y", "b", "c"]


def test_a_network_that_is_whole_stays_as_it_is() -> None:
    def network(arrays: Sequence[Array]) -> Mapping[str, Array]:
        return heads(1)

    tail = Tail({})
    assert tail.behind(network) is network
    assert tail.divided == {}


@pytest.mark.parametrize(
    ("shape", "left_out", "what"),
    [
        ((1, 4, 1, 3), "", "output `b` is [1, 4, 1, 3], and the tail takes [1, 4, 1, 2]"),
        ((1, 4, 1, 2), "c", "the cut network gives no `c`, which its tail takes"),
    ],
)
def test_heads_that_do_not_fit(
    inputs: dict[str, Path], shape: tuple[int, ...], left_out: str, what: str
) -> None:
    given = {name: array for name, array in heads(*shape).items() if name != left_out}
    with pytest.raises(Fault) as caught:
        Tail(inputs).behind(lambda arrays: given)([])
    assert caught.value.what == what
