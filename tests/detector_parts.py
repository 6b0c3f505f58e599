"""Parts of published detectors, small: what the SDK refuses of them, it refuses of these too.

Source of the structures: YOLO11 and YOLO26 of ultralytics 8.4, exported to opset 12.
"""

from __future__ import annotations

import numpy as np
import onnx

from tests.graph_builder import parsed

# C2PSA's attention: one convolution makes q, k and v of two heads, q is scaled, and the softmax of
# q k is applied to v.
_ATTENTION = """
g (float[1,3,8,8] x) => (float[1,32,8,8] y) {
  [stem] c = Conv<pads=[1,1,1,1]>(x, w0)
  [qkv] a = Conv(c, w1)
  [heads] h = Reshape(a, to_heads)
  [parts] q, k, v = Split<axis=2>(h, sizes)
  [scale] qs = Mul(q, scale)
  [turn_q] qt = Transpose<perm=[0,1,3,2]>(qs)
  [scores] s = MatMul(qt, k)
  [softmax] p = Softmax<axis=3>(s)
  [turn_p] pt = Transpose<perm=[0,1,3,2]>(p)
  [values] o = MatMul(v, pt)
  [joined] j = Reshape(o, to_image)
  [values_image] vi = Reshape(v, to_image)
  [position] e = Conv<pads=[1,1,1,1], group=32>(vi, w2)
  [sum] t = Add(j, e)
  [projection] y = Conv(t, w3)
}"""

# The head's distances: a softmax over 16 bins for each side of a box, their mean by a convolution
# of constants, and both corners from it.
_DISTANCES = """
g (float[1,3,SIDE,SIDE] x) => (float[1,4,CELLS] y) {
  [fine] f = Conv<pads=[1,1,1,1]>(x, w0)
  [coarse] h = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w0)
  [fine_boxes] fb = Reshape(f, flat)
  [coarse_boxes] hb = Reshape(h, flat)
  [levels] c = Concat<axis=-1>(fb, hb)
  [sides] r = Reshape(c, to_sides)
  [bins_last] t = Transpose<perm=[0,3,1,2]>(r)
  [softmax] p = Softmax<axis=3>(t)
  [bins_first] b = Transpose<perm=[0,3,2,1]>(p)
  [mean] m = Conv(b, numbers)
  [distances] d = Reshape(m, to_boxes)
  [near] lt = Slice(d, zero, two, one)
  [far] rb = Slice(d, two, four, one)
  [first] x1 = Sub(anchors, lt)
  [last] x2 = Add(anchors, rb)
  [corners] y = Concat<axis=1>(x1, x2)
}"""


def attention() -> onnx.ModelProto:
    """x [1, 3, 8, 8] -> y [1, 32, 8, 8]."""
    random = np.random.default_rng(0)
    weights = {
        "w0": random.normal(0, 0.2, (32, 3, 3, 3)),
        "w1": random.normal(0, 0.2, (64, 32, 1, 1)),
        "w2": random.normal(0, 0.2, (32, 1, 3, 3)),
        "w3": random.normal(0, 0.2, (32, 32, 1, 1)),
        "scale": np.array(8**-0.5),
    }
    shapes = {
        "to_heads": np.array([1, 2, 32, 64]),
        "sizes": np.array([8, 8, 16]),
        "to_image": np.array([1, 32, 8, 8]),
    }
    return parsed(_ATTENTION, {n: w.astype(np.float32) for n, w in weights.items()} | shapes)


def distances(side: int = 8) -> onnx.ModelProto:
    """x [1, 3, side, side] -> y [1, 4, cells]: two corners of a box for each cell of two levels."""
    random = np.random.default_rng(0)
    sides = (side, side // 2)
    places = [np.mgrid[0:n, 0:n].reshape(2, n * n) + 0.5 for n in sides]
    cells = sum(n * n for n in sides)
    weights = {
        "w0": random.normal(0, 0.2, (64, 3, 3, 3)),
        "numbers": np.arange(16).reshape(1, 16, 1, 1),
        "anchors": np.concatenate(places, 1)[None],
    }
    shapes = {
        "flat": np.array([1, 64, -1]),
        "to_sides": np.array([1, 4, 16, cells]),
        "to_boxes": np.array([1, 4, cells]),
        **{name: np.array([i]) for name, i in (("zero", 0), ("one", 1), ("two", 2), ("four", 4))},
    }
    text = _DISTANCES.replace("SIDE", str(side)).replace("CELLS", str(cells))
    return parsed(text, {n: w.astype(np.float32) for n, w in weights.items()} | shapes)
