"""Networks that we did not make, in whole numbers, on photographs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from quant.execution.run import FloatRun
from quant.fixed_point.layer_errors import layer_errors
from quant.fixed_point.lower import lower
from quant.fixed_point.network import reference, whole_numbers
from quant.fixed_point.network.network import Network, integer_name
from quant.fixed_point.network.options import Options
from quant.fixed_point.onnx.to_onnx import to_onnx
from quant.fixed_point.prepare import prepare
from quant.fixed_point.tflite import whole_numbers as tflite_whole_numbers
from quant.fixed_point.tflite.run import TFLiteRun
from quant.fixed_point.tflite.to_tflite import to_tflite
from quant.graph.analysis.reals import with_outputs
from quant.report.metrics import cosine
from quant.tflite.export import export
from tests.test_realworld import ULTRAFACE
from tests.trained_models import observed
from tests.vacuous import some
from tests.workspace import Workspace

Array = NDArray[Any]
Pixels = Callable[[Array], Array]

RAW: Pixels = lambda pixels: pixels  # noqa: E731
UNSIGNED: dict[str, Any] = {"weights": "channel", "activations": "unsigned"}
UNIT: Pixels = lambda pixels: pixels / 255  # noqa: E731


def photographs(folder: Path, height: int, width: int, scaled: Pixels) -> list[Array]:
    """[1, 3, height, width] each."""
    files = sorted(folder.glob("*.jpg"))
    images = (Image.open(file).convert("RGB").resize((width, height)) for file in files)
    arrays = (np.asarray(image, np.float32).transpose(2, 0, 1)[None] for image in images)
    return [scaled(array).astype(np.float32) for array in arrays]


def require_exact(network: Network, sample: dict[str, Array]) -> None:
    """The ONNX file's every tensor and the TFLite file's every output, against the reference."""
    codes = reference.run(network, sample)
    reals = reference.outputs(network, codes)
    model, raw = to_onnx(network, "real"), to_tflite(network, "real")
    assert whole_numbers.fractional_parameters(model) == []
    assert tflite_whole_numbers.fractional_parameters(raw) == []
    inside = [integer_name(name) for name in codes]
    found = FloatRun(with_outputs(model, [*inside, *reals]))(sample)
    for name, expected in some(codes.items()):
        np.testing.assert_array_equal(found[integer_name(name)], expected, name)
    for has_delegates in (True, False):
        lite = TFLiteRun(raw, has_delegates)(sample)
        for name, expected_reals in some(reals.items()):
            np.testing.assert_array_equal(found[name], expected_reals, name)
            np.testing.assert_array_equal(lite[name], expected_reals, name)


def cosines(model: onnx.ModelProto, network: Network, samples: list[dict[str, Array]]) -> Array:
    """Of each output over all photographs together."""
    real, whole = FloatRun(model), FloatRun(to_onnx(network, "real"))
    expected = [real(sample) for sample in samples]
    actual = [whole(sample) for sample in samples]
    return np.array(
        [cosine(*(_joined(side, n) for side in (expected, actual))) for n in expected[0]]
    )


def _joined(runs: list[dict[str, Array]], output: str) -> Array:
    return np.concatenate([run[output].ravel() for run in runs])


@pytest.mark.parametrize(
    ("file", "size", "scaled", "options", "worst"),
    [
        ("pretrainedResnet.tflite", 32, RAW, Options(0.5, "B8"), 0.96),
        ("pretrainedResnet.tflite", 32, RAW, Options(0.5, "B16"), 0.97),
        ("pretrainedResnet.tflite", 32, RAW, Options(1, "B8", **UNSIGNED), 0.99),
        ("pretrainedResnet.tflite", 32, RAW, Options(1, "B16", **UNSIGNED), 0.99),
        ("vww_96_float.tflite", 96, UNIT, Options(64, "B8"), 0.99),
        ("vww_96_float.tflite", 96, UNIT, Options(64, "B16"), 0.99),
        ("vww_96_float.tflite", 96, UNIT, Options(255, "B8", **UNSIGNED), 0.999),
        ("vww_96_float.tflite", 96, UNIT, Options(255, "B16", **UNSIGNED), 0.999),
    ],
)
def test_classifiers_from_tflite(
    realworld: Path,
    file: str,
    size: int,
    scaled: Pixels,
    options: Options,
    worst: float,
) -> None:
    """worst: what no photograph's class probabilities may be below, in cosine.

    Scores far below the largest become 0 in a Softmax; a scale that need be no power of two leaves
    them no room.
    """
    model = prepare(export(realworld / "mlperf_tiny" / file, {}).model)
    name = model.graph.input[0].name
    samples = [{name: image} for image in photographs(realworld / "coco", size, size, scaled)]
    assert len(samples) == 10
    ranges, tuning = observed(model, samples)
    network = lower(model, ranges, options, tuning)
    require_exact(network, samples[0])
    each = [float(cosines(model, network, [sample])[0]) for sample in samples]
    (found,) = cosines(model, network, samples)
    (scores,) = (n.input[0] for n in model.graph.node if n.op_type == "Softmax")
    (row,) = (r for r in layer_errors(model, network, samples) if r.tensor == scores)
    assert row.entire is not None and row.entire.cosine_worst is not None
    print(f"{file} {options.bias_mode} {options.activations}: cosine {found:.4f} of all,", end=" ")
    print(f"{np.mean(each):.4f} the mean,", end=" ")
    print(f"{min(each):.4f} the worst, {row.entire.cosine_worst:.4f} the worst before softmax")
    assert found > 0.99
    assert np.mean(each) > 0.99
    assert min(each) > worst
    assert row.entire.cosine_worst > (0.97 if options.is_unsigned else 0.99)


def test_detector_from_onnx(realworld: Path, tmp_path: Path) -> None:
    """Through `./doit`, whose build compares the files with the reference and fails otherwise."""
    workspace = Workspace(tmp_path)
    folder = realworld / "ultraface"
    recipe = {
        **ULTRAFACE,
        "quantize": {"calibration": {"images": "faces", "samples": 8}},
        "targets": {
            "int8": {"backend": "fixed_point", "input_scale": 64, "bias_mode": ["B8", "B16"]}
        },
    }
    workspace.add("ultraface", recipe, rfb320__onnx=folder / "rfb320.onnx", faces=folder / "faces")
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    for target in ("int8-b8", "int8-b16"):
        build = json.loads(workspace.built("ultraface", f"{target}/build.json").read_text())
        assert build["compared_values"] > 1_000_000
        metrics = workspace.built("ultraface", f"{target}/report/metrics.json")
        outputs = json.loads(metrics.read_text())["outputs"]
        assert min(output["cosine"]["worst"] for output in outputs.values()) > 0.999
