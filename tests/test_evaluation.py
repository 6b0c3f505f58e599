"""`evaluate: {metric: file.py:function}`: numbers of the user's own, and errors that say where."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.recipe.define.model import Evaluate
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.compare.jobs.accuracy import Network
from pipelines.stages.compare.jobs.evaluation import evaluation
from pipelines.stages.samples.jobs.params import DataParams
from pipelines.stages.samples.jobs.prepared_samples import LabelledSamples
from quant.samples.label_files import FIRST
from tests.small_models import SHAPE, conv_net, recipe, samples
from tests.workspace import Workspace

MEASURE = """\
import numpy as np

def mae(outputs, labels):
    return {"mae": np.abs(outputs["y"] - labels).mean(), "rows": len(labels)}

def one(outputs, labels):
    return 2

def broken(outputs, labels):
    return outputs["scores"]

def text(outputs, labels):
    return "good"
"""
LABELS = np.array([[0.0], [1.0]], np.float32)


def constant(value: float) -> Network:
    return lambda one: {"y": np.full((1, 1), value, np.float32)}


def found(folder: Path, function: str) -> dict[str, Any]:
    place = folder / "model"
    place.mkdir()
    (place / "measure.py").write_text(MEASURE)
    labels: Any = {FIRST: LABELS}
    labelled = LabelledSamples(("x",), (np.zeros((2, 1), np.float32),), labels)
    given = DataParams(evaluate=Evaluate("x.npy", "y.npy", f"measure.py:{function}"))
    job = Job(given, {"model/measure.py": place / "measure.py"}, folder / "out", folder)
    networks: dict[str, Network] = {"float": constant(0.5), "simulator": constant(0.0)}
    return evaluation(job, labelled, networks)["evaluation"]  # type: ignore[no-any-return]


def test_numbers_stand_side_by_side(tmp_path: Path) -> None:
    assert found(tmp_path, "mae") == {
        "samples": 2,
        "metrics": {
            "mae": {"float": 0.5, "simulator": 0.5},
            "rows": {"float": 2.0, "simulator": 2.0},
        },
    }


def test_a_single_number_has_the_functions_name(tmp_path: Path) -> None:
    assert found(tmp_path, "one")["metrics"] == {"one": {"float": 2.0, "simulator": 2.0}}


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("broken", "measure.py:10 in broken: return outputs[\"scores\"]\nKeyError: 'scores'"),
        ("text", "`measure.py:text` returned 'good' for `text`, not a finite number"),
        ("maes", "`measure.py` has no function `maes`"),
    ],
)
def test_a_function_that_fails_is_told_with_its_line(
    function: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(Refusal) as refused:
        found(tmp_path, function)
    assert told in refused.value.args[0]


def npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.toolchain
def test_a_regression_in_float_and_in_the_simulator(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    inputs = np.random.default_rng(0).normal(0, 1, (3, *SHAPE[1:])).astype(np.float32)
    given = recipe() | {
        "evaluate": {"inputs": "x.npy", "labels": "t.npy", "metric": "measure.py:mae"}
    }
    measure = "import numpy as np\ndef mae(outputs, labels):\n"
    folder = workspace.add(
        "m",
        given,
        net__onnx=conv_net(),
        samples__npy=samples(),
        x__npy=npy(inputs),
        t__npy=npy(np.ones((3, 4), np.float32)),
        measure__py=f"{measure}    return float(np.abs(outputs['scores'] - labels).mean())\n",
    )
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    metrics = json.loads(workspace.built("m", "rk3588/report/metrics.json").read_text())
    values = metrics["evaluation"]["metrics"]["mae"]
    assert 0 < abs(values["float"] - values["simulator"]) < 0.05 * values["float"]
    assert f"mae {values['float']:.6g} in float" in ran.out
    (folder / "measure.py").write_text(f"{measure}    return outputs['score']\n")
    broken = workspace.doit()
    assert broken.code == 1
    assert "measure.py:3 in mae" in broken.err
