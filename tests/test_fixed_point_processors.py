"""What quantize writes is the same on processors with other vector instructions."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from numpy.core import _multiarray_umath

from quant.execution.run import FloatRun
from quant.execution.softmax import without_softmax
from quant.fixed_point.calibration.taps import _inverse_root
from tests.conftest import ROOT
from tests.graph_builder import parsed

DIGEST = """
import hashlib
import numpy as np
from quant.fixed_point.calibration.magnitudes import Magnitudes
from quant.fixed_point.calibration.taps import TapSums
from tests.graph_builder import parsed

random = np.random.default_rng(0)
weights = {"w": random.standard_normal((300, 20)), "k": random.standard_normal((8, 4, 3, 3))}
model = parsed(
    "g (float[1,90,300] x, float[1,4,9,9] i) => (float[1,90,20] y, float[1,8,7,7] z) "
    "{ y = MatMul(x, w) z = Conv(i, k) }",
    {name: value.astype(np.float32) for name, value in weights.items()},
)
sums, magnitudes = TapSums(model), Magnitudes()
for _ in range(4):
    drawn = {"x": (1, 90, 300), "i": (1, 4, 9, 9)}
    read = {name: random.standard_normal(s).astype(np.float32) for name, s in drawn.items()}
    read = {name: np.cumsum(value * value * value, axis=-1) for name, value in read.items()}
    sums.add(read)
    magnitudes.add(read["x"])
told = hashlib.sha256(magnitudes.counts.tobytes())
for taps in sums.taps().values():
    for part in (taps.mean, taps.order, taps.factor):
        told.update(part.tobytes())
print(told.hexdigest())
"""


def digest(kernels: str, without: str) -> str:
    """kernels: OpenBLAS's. without: instructions that NumPy does not use."""
    env = {**os.environ, "OPENBLAS_CORETYPE": kernels, "NPY_DISABLE_CPU_FEATURES": without}
    command = [sys.executable, "-c", DIGEST]
    return subprocess.run(
        command, cwd=ROOT, env=env, check=True, capture_output=True, text=True
    ).stdout


def test_taps_and_magnitudes_hang_on_no_kernel() -> None:
    """OpenBLAS adds in another order for each; NumPy's logarithm is another without AVX-512."""
    here = [name for name, has in _multiarray_umath.__cpu_features__.items() if has]
    found = [name for name in here if name in _multiarray_umath.__cpu_dispatch__]
    wide = [name for name in found if name.startswith("AVX512")]
    expected = digest("Prescott", " ".join(found))
    assert len(expected) == 65
    assert digest("Haswell", " ".join(wide)) == expected
    if wide:
        assert digest("SkylakeX", "") == expected


def test_the_root_of_an_inverse() -> None:
    rows = np.random.default_rng(0).standard_normal((3, 50, 9))
    covariance = rows.transpose(0, 2, 1) @ rows
    root = _inverse_root(covariance)
    assert (np.tril(root, -1) == 0).all()
    product = root.transpose(0, 2, 1) @ root
    np.testing.assert_allclose(product @ covariance, np.eye(9)[None].repeat(3, 0), atol=1e-12)


SOFTMAXES: dict[str, tuple[int, str]] = {  # opset, attributes
    "of old, by default": (11, ""),
    "of old, over the last two axes": (11, "<axis=2>"),
    "of old, from behind": (9, "<axis=-1>"),
    "of the last axis": (13, ""),
    "of channels": (13, "<axis=1>"),
    "from behind": (18, "<axis=-2>"),
}


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(("opset", "given"), SOFTMAXES.values(), ids=SOFTMAXES)
def test_a_softmax_written_out(operator: str, opset: int, given: str) -> None:
    text = f"g (float[2,3,5,7] x) => (float[2,3,5,7] y) {{ y = {operator}{given}(x) }}"
    model = parsed(text, opset=opset)
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 7)).astype(np.float32) * 20
    expected = np.asarray(FloatRun(model)({"x": x})["y"], np.float32)
    written = without_softmax(model)
    assert operator not in [node.op_type for node in written.graph.node]
    onnx.checker.check_model(written, full_check=True)
    found = np.asarray(FloatRun(written)({"x": x})["y"], np.float32)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)
