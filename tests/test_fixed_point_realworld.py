"""Networks that we did not make, in whole numbers, on photographs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from quant.execution.run import FloatRun
from quant.fixed_point.calibration.ranges import Range
from quant.fixed_point.calibration.tuning import Tuning
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
CLASSIFIERS = {"pretrainedResnet.tflite": (32, RAW), "vww_96_float.tflite": (96, UNIT)}


@dataclass(frozen=True)
class Classifier:
    """A float network, its photographs, and what they say of it."""

    file: str
    model: onnx.ModelProto
    samples: Sequence[dict[str, Array]]
    ranges: Mapping[str, Range]
    tuning: Tuning


@pytest.fixture(scope="module")
def classifier(request: pytest.FixtureRequest, realworld: Path) -> Classifier:
    """One of CLASSIFIERS, exported and calibrated once for all options."""
    size, scaled = CLASSIFIERS[request.param]
    model = prepare(export(realworld / "mlperf_tiny" / request.param, {}).model)
    name = model.graph.input[0].name
    samples = [{name: image} for image in photographs(realworld / "coco", size, size, scaled)]
    return Classifier(request.param, model, samples, *observed(model, samples))


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


def outputs(model: onnx.ModelProto, samples: Sequence[dict[str, Array]]) -> list[Array]:
    """What the network's only output is of each."""
    run = FloatRun(model)
    return [made for sample in samples for made in run(sample).values()]


@pytest.mark.parametrize(
    ("classifier", "options", "worst"),
    [
        ("pretrainedResnet.tflite", Options(0.5, "B8"), 0.96),
        ("pretrainedResnet.tflite", Options(0.5, "B16"), 0.97),
        ("pretrainedResnet.tflite", Options(1, "B8", **UNSIGNED), 0.99),
        ("pretrainedResnet.tflite", Options(1, "B16", **UNSIGNED), 0.99),
        ("vww_96_float.tflite", Options(64, "B8"), 0.99),
        ("vww_96_float.tflite", Options(64, "B16"), 0.99),
        ("vww_96_float.tflite", Options(255, "B8", **UNSIGNED), 0.999),
        ("vww_96_float.tflite", Options(255, "B16", **UNSIGNED), 0.999),
    ],
    indirect=["classifier"],
)
def test_classifiers_from_tflite(classifier: Classifier, options: Options, worst: float) -> None:
    """worst: what no photograph's class probabilities may be below, in cosine.

    Scores far below the largest become 0 in a Softmax; a scale that need be no power of two leaves
    them no room.
    """
    model, samples = classifier.model, classifier.samples
    assert len(samples) == 10
    network = lower(model, classifier.ranges, options, classifier.tuning)
    require_exact(network, samples[0])
    expected, actual = outputs(model, samples), outputs(to_onnx(network, "real"), samples)
    assert len(expected) == len(actual) == len(samples)
    each = [cosine(*pair) for pair in zip(expected, actual, strict=True)]
    found = cosine(np.concatenate(expected), np.concatenate(actual))
    (scores,) = (n.input[0] for n in model.graph.node if n.op_type == "Softmax")
    (row,) = (r for r in layer_errors(model, network, samples) if r.tensor == scores)
    assert row.entire is not None and row.entire.cosine_worst is not None
    print(f"{classifier.file} {options.bias_mode} {options.activations}:", end=" ")
    print(f"cosine {found:.4f} of all, {np.mean(each):.4f} the mean,", end=" ")
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
