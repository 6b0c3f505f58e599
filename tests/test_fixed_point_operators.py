"""Rare forms of the operators: the float network's numbers, in both files, or one clear refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from pipelines.backends.fixed_point.jobs.files import Files, prove
from pipelines.backends.fixed_point.jobs.prepared import Prepared
from pipelines.backends.fixed_point.recipe.options import FixedPoint
from quant.execution.run import FloatRun
from quant.fault import Fault
from quant.fixed_point.calibration.ranges import data_free_samples
from quant.fixed_point.layer_errors import layer_errors
from quant.fixed_point.network.options import Options
from tests.graph_builder import parsed
from tests.vacuous import some

Array = NDArray[Any]
Arrays = Mapping[str, Array]


def whole(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def real(*numbers: float) -> Array:
    return np.array(numbers, np.float32)


def drawn(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


VECTOR = "g (float[1,8] x) => (float[1,8] y) "
CUBE = "g (float[2,4,6] x) => (float[2,4,6] y) "
PICTURE = "g (float[1,2,4,5] x) => (float[n,c,h,w] y) "

# Name -> (graph, constants, opset)
RIGHT: Mapping[str, tuple[str, Arrays, int]] = {
    "Cast to double and back": (VECTOR + "{ a=Cast<to=11>(x) y=Cast<to=1>(a) }", {}, 15),
    "weights of 16 bits": (
        "g (float[1,8] x) => (float[1,3] y) { a=Cast<to=10>(x) b=MatMul(a,w) y=Cast<to=1>(b) }",
        {"w": drawn(8, 3).astype(np.float16)},
        15,
    ),
    "a sum of everything": (
        "g (float[2,3] x) => (float y) { a=Relu(x) y=ReduceSum<keepdims=0>(a) }",
        {},
        15,
    ),
    "a mean of everything": (
        "g (float[2,3] x) => (float y) { a=Relu(x) y=ReduceMean<keepdims=0>(a) }",
        {},
        15,
    ),
    "a number": ("g (float x) => (float y) { a=Exp(x) y=Add(a,x) }", {}, 15),
    "Softmax of opset 11 over its last axis": (
        VECTOR + "{ y=Softmax(x) }",
        {},
        11,
    ),
    "Softmax of opset 11 before axes of one": (
        "g (float[2,6,1,1] x) => (float[2,6,1,1] y) { y=Softmax(x) }",
        {},
        11,
    ),
    "Softmax of opset 11 over two axes, the first of one": (
        "g (float[2,1,6] x) => (float[2,1,6] y) { y=Softmax<axis=1>(x) }",
        {},
        11,
    ),
    "Resize of opset 10": (
        PICTURE + '{ a=Relu(x) y=Resize<mode="nearest">(a,s) }',
        {"s": real(1, 1, 2, 1.5)},
        10,
    ),
    "Upsample of opset 7": (
        PICTURE + '{ a=Relu(x) y=Upsample<mode="nearest",scales=[1.0,1.0,2.0,2.5]>(a) }',
        {},
        7,
    ),
    "Upsample of opset 9": (
        PICTURE + '{ a=Relu(x) y=Upsample<mode="nearest">(a,s) }',
        {"s": real(1, 1, 2, 1.5)},
        9,
    ),
    "Resize that keeps the ratio": (
        PICTURE + '{ a=Relu(x) y=Resize<mode="nearest",axes=[2,3],'
        'keep_aspect_ratio_policy="not_larger">(a,,,s) }',
        {"s": whole(7, 7)},
        18,
    ),
    "Resize of named axes": (
        PICTURE + '{ a=Relu(x) y=Resize<mode="nearest",axes=[3,2]>(a,,,s) }',
        {"s": whole(3, 7)},
        18,
    ),
    "Resize to the same size": (
        PICTURE + '{ a=Relu(x) b=Resize<mode="nearest">(a,,s) y=Exp(b) }',
        {"s": real(1, 1, 1, 1)},
        15,
    ),
    "Pad beyond the range": (
        PICTURE + "{ a=Relu(x) y=Pad(a,p,v) }",
        {"p": whole(0, 0, 1, 0, 0, 0, 0, 0), "v": np.array(50, np.float32)},
        15,
    ),
    "Pad with the least number before MaxPool": (
        PICTURE + "{ a=Neg(x) b=Pad(a,p,v) y=MaxPool<kernel_shape=[2,2]>(b) }",
        {"p": whole(0, 0, 1, 0, 0, 0, 0, 0), "v": np.array(-3.4028235e38, np.float32)},
        15,
    ),
    "bounds that cross": (
        VECTOR + "{ y=Clip(x,l,h) }",
        {"l": np.array(2, np.float32), "h": np.array(1, np.float32)},
        15,
    ),
    "an output called as another tensor's integers": (
        VECTOR.replace("x)", "x_q)").replace(" y)", " a_q)") + "{ a=Relu(x_q) a_q=Neg(a) }",
        {},
        15,
    ),
    "transposed indices": (
        "g (int64[2,3] i) => (float[3,2,4] y) { j=Transpose(i) y=Gather(t,j) }",
        {"t": drawn(10, 4)},
        15,
    ),
    "numbers beyond 2^40": (VECTOR + "{ y=Mul(x,k) }", {"k": np.array(1e30, np.float32)}, 15),
}

# As above, and what is said
REFUSED: Mapping[str, tuple[str, Arrays, int, str]] = {
    "Cast to bool": (
        VECTOR + "{ a=Cast<to=9>(x) y=Cast<to=1>(a) }",
        {},
        15,
        "Cast `Cast(a)` makes BOOL of reals\n  leave it out",
    ),
    "Cast to int8": (
        VECTOR + "{ a=Cast<to=3>(x) y=Cast<to=1>(a) }",
        {},
        15,
        "Cast `Cast(a)` makes INT8 of reals\n  leave it out",
    ),
    "MatMul of vectors": (
        "g (float[4] a, float[4] b) => (float y) { y=MatMul(a,b) }",
        {},
        15,
        "MatMul `MatMul(y)` multiplies [4] and [4]\n  reshape vectors to matrices before it",
    ),
    "a bias of more axes than the product": (
        "g (float[2,3,4] x) => (float[1,2,3,5] y) { a=MatMul(x,w) y=Add(a,b) }",
        {"w": drawn(4, 5), "b": drawn(1, 1, 1, 5)},
        15,
        "Add `Add(y)` spreads [2, 3, 5] over a constant of [1, 1, 1, 5]\n  expand it before",
    ),
    "Softmax of opset 11 over several axes": (
        CUBE + "{ y=Softmax(x) }",
        {},
        11,
        "Softmax `Softmax(y)` works on several axes at once\n  export with opset 13 or later",
    ),
    "Dropout that trains": (
        VECTOR + "{ y=Dropout(x,r,t) }",
        {"r": np.array(0.5, np.float32), "t": np.array(True)},
        15,
        "Dropout `Dropout(y)` trains\n  export the network in its inference mode",
    ),
    "a constant beside a computed tensor": (
        "g (float[1,4] x) => (float[1,8] y) { a=Relu(x) y=Concat<axis=1>(a,c) }",
        {"c": drawn(1, 4)},
        15,
        "Concat `Concat(y)` reads the constant `c`, which has no integers here\n"
        "  compute it from an input, or leave the operator in float: `unsupported: float`",
    ),
    "no elements": (
        "g (float[2,8] x) => (float[2,0] y) { a=Relu(x) y=Slice(a,s,e,k) }",
        {"s": whole(4), "e": whole(2), "k": whole(1)},
        15,
        "`y` has no elements\n  leave it out of the graph",
    ),
    "Pad of more axes than LiteRT knows": (
        "g (float[1,2,3,2,2,2] x) => (float[a,b,c,d,e,f] y) { y=Pad(x,p) }",
        {"p": whole(0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0)},
        15,
        "Pad `Pad(y)` has 6 axes\n  LiteRT takes 5: join some by a Reshape before it",
    ),
    "MatMul of more axes than LiteRT knows": (
        "g (float[1,1,2,3,4,5] x, float[1,1,2,3,5,2] z) => (float[1,1,2,3,4,2] y) "
        "{ y=MatMul(x,z) }",
        {},
        15,
        "MatMul `MatMul(y)` has 6 axes\n  LiteRT takes 5: join some by a Reshape before it",
    ),
    "the largest of indices": (
        "g (int64[1,6] i) => (float[1,1,4] y) { j=ReduceMax<axes=[1]>(i) y=Gather(t,j) }",
        {"t": drawn(10, 4)},
        15,
        "ReduceMax `ReduceMax(j)` computes with the indices `i`\n  make them float",
    ),
    "numbers of 16 bits": (
        "g (float16[1,4] x) => (float16[1,4] y) { y=Relu(x) }",
        {},
        15,
        "input `x` is float16\n  inputs are float32, or int32 and int64 for indices",
    ),
    "no inputs": (
        "g () => (float[3] y) { y=Relu(c) }",
        {"c": drawn(3)},
        15,
        "the network has no inputs\n  export it with the inputs that its outputs depend on",
    ),
}


def files(
    model: onnx.ModelProto, samples: list[dict[str, Array]], unsupported: str = "refuse"
) -> Files:
    chosen = FixedPoint(16)
    prepared = Prepared.of(model, chosen, samples)
    return Files.of(prepared, Options(16, unsupported=unsupported), "m")


def require_close(model: onnx.ModelProto, made: Files, samples: list[dict[str, Array]]) -> None:
    """No element is further from float than the input's step and 5 % of the largest make it."""
    expected, found = FloatRun(model), FloatRun(made.model())
    for sample in some(samples):
        for name, reals in some(expected(sample).items()):
            assert found(sample)[name].shape == reals.shape
            far = np.abs(found(sample)[name] - reals.astype(np.float64)).max()
            assert far <= np.abs(reals).max() / 20 + 1 / 16, name


@pytest.mark.parametrize("name", RIGHT)
def test_gives_the_float_networks_numbers(name: str) -> None:
    model = parsed(*RIGHT[name])
    samples = [*data_free_samples(model, 8)]
    made = files(model, samples)
    assert made.tflite_file is not None
    assert prove(made, samples[:2])
    require_close(model, made, samples)


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_exactly_this_text(name: str) -> None:
    text, weights, opset, expected = REFUSED[name]
    model = parsed(text, weights, opset)
    with pytest.raises(Fault) as caught:
        files(model, [*data_free_samples(model, 8)])
    assert str(caught.value) == expected


# Left in float, in a graph of an opset in which the operator is another one, or not yet there
FLOAT: Mapping[str, tuple[str, Arrays, int]] = {
    "LayerNormalization of opset 17": (
        "g (float[1,4,6] x) => (float[1,4] y) "
        "{ a=LayerNormalization(x,w,b) y=ReduceMax<axes=[2],keepdims=0>(a) }",
        {"w": drawn(6), "b": drawn(6)},
        17,
    ),
    "Mish of opset 18, before ReduceMax": (
        "g (float[1,4,6] x) => (float[1,4] y) { a=Mish(x) y=ReduceMax<keepdims=0>(a,k) }",
        {"k": whole(2)},
        18,
    ),
    "linear Resize of opset 10": (
        PICTURE + '{ a=Relu(x) y=Resize<mode="linear">(a,s) }',
        {"s": real(1, 1, 2, 2)},
        10,
    ),
}


@pytest.mark.parametrize("name", FLOAT)
def test_is_left_in_float(name: str) -> None:
    model = parsed(*FLOAT[name])
    samples = [*data_free_samples(model, 8)]
    made = files(model, samples, "float")
    assert made.tflite_file is None
    assert prove(made, samples[:2])
    require_close(model, made, samples)


@pytest.mark.parametrize("body", ["y=Mul(x,x)", "a=Tanh(x) y=Concat<axis=1>(a,x)"])
def test_inputs_far_beyond_their_scale_lose_all_but_leave_a_network(body: str) -> None:
    """A shift by 25 and more, whose half is beyond 2^24."""
    model = parsed("g (float[1,8] x) => (float[1,n] y) { " + body + " }")
    samples = [{"x": one["x"] * 1e9} for one in data_free_samples(model, 8)]
    made = files(model, samples)
    assert prove(made, samples[:2])
    far = FloatRun(made.model())(samples[0])["y"]
    assert np.abs(far).max() <= np.abs(FloatRun(model)(samples[0])["y"]).max()


def test_what_older_opsets_alone_have_is_not_left_in_float() -> None:
    """The files have opset 15, in which a Softmax over several axes takes four operators."""
    model = parsed(CUBE + "{ a=Relu(x) y=Softmax(a) }", {}, 11)
    with pytest.raises(Fault) as caught:
        files(model, [*data_free_samples(model, 8)], "float")
    assert str(caught.value) == (
        "Softmax `Softmax(y)` of opset 11 has no like in opset 15\n  export with opset 15 or later"
    )


def test_a_foreign_operator_is_not_left_in_float() -> None:
    model = parsed(VECTOR + "{ y=Gelu(x) }")
    model.graph.node[0].domain = "com.microsoft"
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(Fault) as caught:
        files(model, [*data_free_samples(model, 8)], "float")
    assert str(caught.value) == (
        "com.microsoft.Gelu `Gelu(y)` is no operator of ONNX's own\n"
        "  export with standard operators, or cut the graph before it"
    )


@pytest.mark.parametrize("outputs", ["y", "y, float[1,8] a_q"])
def test_errors_of_layers_called_as_anothers_integers(outputs: str) -> None:
    model = parsed(
        "g (float[1,8] x) => (float[1,8] " + outputs + ") { a=Relu(x) a_q=Neg(a) y=Add(a,a_q) }"
    )
    samples = [*data_free_samples(model, 8)]
    chosen = FixedPoint(16)
    prepared = Prepared.of(model, chosen, samples)
    rows = layer_errors(prepared.model, prepared.lowered(Options(16)), samples)
    assert [row.tensor for row in rows] == ["a", "a_q", "y"]
    for row in rows:
        assert row.entire is not None and row.entire.cosine_mean is not None
        assert row.entire.cosine_mean > 0.99


def test_what_no_input_changes_is_not_left_in_float() -> None:
    model = parsed(
        "g (float[1,3] x) => (float[1,3] y, float[3] z) { y=Relu(x) z=Sin(c) }", {"c": drawn(3)}
    )
    with pytest.raises(Fault) as caught:
        files(model, [*data_free_samples(model, 8)], "float")
    assert str(caught.value) == (
        "Sin `Sin(z)` reads no input of the network\n  leave `z` out of the `outputs`"
    )


def test_what_litert_does_not_take_is_told() -> None:
    text = (
        "g (float[1,2,1,2,1,2,1,2] x) => (float[a,b,c,d,e,f,h,i] y) { y=ReduceMax<axes=[1,3]>(x) }"
    )
    model = parsed(text)
    samples = [*data_free_samples(model, 8)]
    with pytest.raises(Fault, match=r"LiteRT does not take NAME_quant.tflite: .*\n  .*fewer axes"):
        prove(files(model, samples), samples[:1])


@pytest.mark.parametrize("index", [-1, 10])
def test_an_index_outside_its_table_is_told(index: int) -> None:
    """onnxruntime counts -1 from the end, LiteRT does not."""
    model = parsed("g (int64[1,2] i) => (float[1,2,4] y) { y=Gather(t,i) }", {"t": drawn(10, 4)})
    made = files(model, [*data_free_samples(model, 8)])
    with pytest.raises(Fault) as caught:
        prove(made, [{"i": np.array([[3, index]])}])
    assert str(caught.value) == (
        f"`i` holds the index {index}, and `y` picks from 10 rows\n  give indices from 0 to 9"
    )
