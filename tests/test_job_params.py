"""Jobs: what they are told is of a class, decoded once; they work in the folders they are given."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pipelines.backends.rknn.params import AnalyzeParams, RknnParams
from pipelines.recipe.define.model import Samples, Simplify
from pipelines.run.jobs import decode
from pipelines.run.jobs.decode import decoded, params_type
from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs.params import CalibrationParams, DataParams
from pipelines.stages.stage import plain, samples_work
from tests.graph_builder import parsed
from tests.test_floors import MODULES, is_inside

RUNS = sorted(
    name
    for name, file in MODULES.items()
    if ".jobs." in name and "\ndef run(job" in file.read_text()
)


@dataclass(frozen=True)
class Inner:
    flag: bool
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Outer:
    name: str
    scale: float
    inner: Inner
    files: tuple[str, ...] | Mapping[str, str] = ()
    by_name: Mapping[str, Inner] = field(default_factory=dict)
    anything: Any = None


GIVEN = {"name": "n", "scale": 1, "inner": {"flag": True}}


def test_prepared_of_all_that_is_named() -> None:
    decode._hints.cache_clear()
    decode.prepare(Outer)
    assert decode._hints.cache_info().currsize == 2  # Outer and Inner
    decoded(Outer, {**GIVEN, "by_name": {"x": {"flag": False}}})
    assert decode._hints.cache_info().misses == 2


def test_decoded() -> None:
    told = {**GIVEN, "files": ["a"], "by_name": {"x": {"flag": False, "shape": [1, 2]}}}
    assert decoded(Outer, told) == Outer("n", 1, Inner(True), ("a",), {"x": Inner(False, (1, 2))})
    assert decoded(Outer, {**GIVEN, "files": {"x": "a"}}).files == {"x": "a"}
    assert isinstance(decoded(Outer, GIVEN).scale, int)  # so that JSON made of it stays as it was
    kept = {**GIVEN, "anything": [{"k": [1]}]}
    assert decoded(Outer, kept).anything == [{"k": [1]}]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"nmae": 1}, "params: Outer has no `nmae`"),
        ({"name": None}, "params.name is None, and no str"),
        ({"scale": "1"}, "params.scale is '1', and no float"),
        ({"scale": True}, "params.scale is True, and no float"),
        ({"inner": {}}, "params.inner: Inner wants a `flag`"),
        ({"inner": {"flag": 1}}, "params.inner.flag is 1, and no bool"),
        ({"inner": {"flag": True, "shape": [1, "2"]}}, "params.inner.shape[1] is '2', and no int"),
        ({"by_name": {"x": 3}}, "params.by_name.x is 3, and no Inner"),
        ({"files": "a"}, "params.files is 'a'"),
    ],
)
def test_what_is_not_of_the_class_is_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError) as caught:
        decoded(Outer, {**GIVEN, **changes})
    assert str(caught.value).startswith(told)


def test_all_that_a_recipe_says_comes_through() -> None:
    params = AnalyzeParams(
        target="t",
        platform="rk3588",
        samples=Samples(npy={"x": "x.npy"}, samples=3),
        calibration=Samples(images="data"),
        rknn={"load": "convert", "inputs": ["x"]},
        sdk_analysis=True,
    )
    assert decoded(AnalyzeParams, json.loads(json.dumps(plain(params)))) == params
    work = samples_work(params, "calibration", CalibrationParams)
    own = {one.name: getattr(params, one.name) for one in fields(CalibrationParams)}
    assert decoded(CalibrationParams, work.params) == CalibrationParams(**own)


def test_a_server_tells_where_params_are_wrong() -> None:
    with pytest.raises(TypeError, match="RknnParams has no `quantise`"):
        decoded(RknnParams, {"target": "t", "platform": "p", "quantise": {}})


def test_there_are_jobs() -> None:
    assert len(RUNS) > 25


@pytest.mark.parametrize("module", RUNS)
def test_each_names_the_class_of_its_params(module: str) -> None:
    (run,) = (
        node
        for node in ast.parse(MODULES[module].read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "run"
    )
    annotation = run.args.args[0].annotation
    assert isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Name)
    assert annotation.slice.id.endswith("Params")
    if not any(heavy in module for heavy in ("torch", "tensorflow", "sbom", "rknn.jobs")):
        assert is_dataclass(params_type(import_module(module).run))


def paths_here(file: Path) -> Iterator[str]:
    """Paths that a file takes from where its process stands: `Path("x")`, `Path()`, `open("x")`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        first = node.args[0] if node.args else None
        is_literal = isinstance(first, ast.Constant) and not str(first.value).startswith("/")
        if name in ("Path.cwd", "os.getcwd", "os.listdir") or (
            name in ("Path", "open") and (is_literal or not node.args)
        ):
            yield ast.unparse(node)


# The SDK's own: where nobody reads a log, what it prints is diverted to a file.
HERE = {"pipelines.backends.rknn.sdk.capture": ["Path('sdk.log')"]}


@pytest.mark.parametrize("module", sorted(name for name in MODULES if is_inside(name)))
def test_none_looks_where_it_stands(module: str) -> None:
    assert [*paths_here(MODULES[module])] == HERE.get(module, [])


def test_jobs_work_in_the_folders_that_they_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """samples, simplify, and all of fixed_point and qdq but export, from an empty folder."""
    here, scratch, out = (tmp_path / name for name in ("here", "scratch", "out"))
    for folder in (here, scratch, out):
        folder.mkdir()
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    model = parsed("g (float[1,3,8,8] x) => (float[1,4,6,6] y) { c=Conv(x,w) y=Relu(c) }",
                   {"w": weight})  # fmt: skip
    onnx.save(model, tmp_path / "net.onnx")
    np.save(tmp_path / "x.npy", np.ones((2, 3, 8, 8), np.float32))
    inputs = {"model": tmp_path / "net.onnx", "data_0": tmp_path / "x.npy"}
    told: Any = {"inputs": {}, "samples": {"npy": ["x.npy"]}}
    monkeypatch.chdir(here)

    def run(module: str, params: Mapping[str, Any], **more: Path) -> None:
        work = import_module(f"pipelines.{module}").run
        work(Job(decoded(params_type(work), params), {**inputs, **more}, out, scratch))

    run("stages.samples.jobs.samples", told)
    run("stages.simplify.jobs.simplify", {**told, "simplify": plain(Simplify("none"))})
    named = {**told, "name": "n"}
    run("backends.fixed_point.jobs.quantize",
        {**named, "shifts": "calibrated", "equalize": True, "weight_rounding": "auto"})  # fmt: skip
    quantized = out / "quantize"
    chosen = {"fixed_point": {"input_scale": 16}}
    run("backends.fixed_point.jobs.build", {**named, **chosen}, quantize=quantized)
    made = {
        "artifact.onnx": out / "n_quant.onnx",
        "artifact.tflite": out / "n_quant.tflite",
        "build.json": out / "build.json",
        "float": tmp_path / "net.onnx",
        "quantize": quantized,
    }
    run("backends.fixed_point.jobs.analyze", named, **made)
    run("backends.fixed_point.jobs.infer", named, **made)
    for name in ("quantize", "report"):
        (out / name).rename(out / f"fixed_point_{name}")
    run("backends.qdq.jobs.quantize", named)
    run("backends.qdq.jobs.build", named, quantize=quantized)
    made = {"artifact.onnx": out / "n_qdq.onnx", "float": tmp_path / "net.onnx"}
    run("backends.qdq.jobs.analyze", named, **made)
    run("backends.qdq.jobs.infer", named, **made)
    assert not [*here.iterdir()]
    assert (scratch / "samples" / "dataset.txt").is_file()
    assert DataParams() == decoded(DataParams, {})
