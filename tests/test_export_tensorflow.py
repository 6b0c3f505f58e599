"""export of Keras files and SavedModels, in the tensorflow toolchain."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from quant.execution.run import FloatRun
from quant.graph.operators import operator_counts
from quant.graph.types import input_types, output_types
from tests.job_runner import Told, ToolchainJobs, Work, jobs_of, recipe_input, source
from tests.vacuous import some

pytestmark = pytest.mark.toolchain

EXPORT, CHECK = (
    "pipelines.stages.export.jobs.from_tensorflow",
    "pipelines.stages.export.jobs.check_onnx",
)
# float32 sums of a few dozen products in another order.
CLOSE = 1e-5
numbers = itertools.count()
jobs = jobs_of("tensorflow")


@pytest.fixture(scope="module")
def made(jobs: ToolchainJobs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = Work.lay_out(tmp_path_factory.mktemp("made") / "work", {})
    assert jobs(work, "tests.keras_files", {}) == Told()
    return work.out


@pytest.fixture(scope="module")
def predicted(jobs: ToolchainJobs, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What Keras itself makes of the first random picture."""
    folder = tmp_path_factory.mktemp("predicted") / "work"
    work = Work.lay_out(folder, {"model.keras": made / "two.keras"})
    assert jobs(work, "tests.keras_predict", {}) == Told()
    return np.load(work.out / "predicted.npz")


def export(
    jobs: ToolchainJobs,
    folder: Path,
    file: Path,
    inputs: dict[str, Any],
    outputs: tuple[str, ...] = (),
    opset: int = 15,
) -> tuple[Told, Work]:
    kind = "keras" if file.suffix else "saved_model"
    work = Work.lay_out(
        folder / f"work{next(numbers)}", {"source": file, f"model/{file.name}": file}
    )
    params = {
        "source": source(kind, file.name, opset=opset),
        "inputs": inputs,
        "outputs": list(outputs),
    }
    told = jobs(work, EXPORT, params)
    return (told if told.what else jobs(work, CHECK, params)), work


def model_of(work: Work) -> onnx.ModelProto:
    return onnx.load(work.out / "model.onnx")


def told_types(model: onnx.ModelProto) -> list[str]:
    return [f"{name} {type_}" for name, type_ in (input_types(model) | output_types(model)).items()]


IMAGE, EXTRA = recipe_input([1, 16, 16, 3]), recipe_input([1, 4])
OUTPUTS = {"scores": "float32 [1, 5]", "boxes": "float32 [1, 2]"}


@pytest.mark.parametrize(
    ("file", "image", "extra", "scores", "boxes"),
    [
        ("two.keras", "image", "extra", "scores", "boxes"),
        ("two.h5", "image", "extra", "scores", "boxes"),
        ("by_name.keras", "image", "extra", "scores", "boxes"),
        ("by_name", "image", "extra", "scores", "boxes"),
        ("two_exported", "image", "extra", "output_0", "output_1"),
        ("two_saved", "inputs", "inputs_1", "output_0", "output_1"),
    ],
)
@pytest.mark.parametrize("is_turned", [False, True])
def test_two_inputs_by_name(
    jobs: ToolchainJobs,
    made: Path,
    predicted: Any,
    tmp_path: Path,
    file: str,
    image: str,
    extra: str,
    scores: str,
    boxes: str,
    is_turned: bool,
) -> None:
    """In either order, from every format; the batch fixed, the outputs named; the same numbers."""
    given = {image: IMAGE, extra: EXTRA}
    inputs = dict(reversed(given.items())) if is_turned else given
    told, work = export(jobs, tmp_path, made / file, inputs, (scores, boxes))
    assert told == Told()
    model, record = model_of(work), work.json("export.json")
    shapes = {image: "float32 [1, 16, 16, 3]", extra: "float32 [1, 4]"}
    assert told_types(model) == [
        *(f"{name} {shapes[name]}" for name in inputs),
        f"{scores} float32 [1, 5]",
        f"{boxes} float32 [1, 2]",
    ]
    assert record["opset"] == 15
    assert record["exporter"] == "tensorflow 2.19.1 tf2onnx 1.17.0"
    assert all(value <= CLOSE for value in some(record["maximum_difference"].values()))
    random = np.random.default_rng(0)
    x = {image: random.random((1, 16, 16, 3), np.float32)}
    run: Any = FloatRun(model)(x | {extra: random.random((1, 4), np.float32)})
    assert np.abs(run[scores] - predicted["scores"]).max() < CLOSE * 10
    assert np.abs(run[boxes] - predicted["boxes"]).max() < CLOSE * 10


@pytest.mark.parametrize("file", ["sequential.keras", "keras_2.h5"])
def test_channels_first_where_the_recipe_says_so(
    jobs: ToolchainJobs, made: Path, tmp_path: Path, file: str
) -> None:
    inputs = {"picture": recipe_input([1, 3, 32, 32])}
    told, work = export(jobs, tmp_path, made / file, inputs)
    assert told == Told()
    turned = model_of(work)
    assert told_types(turned) == ["picture float32 [1, 3, 32, 32]", "classes float32 [1, 3]"]
    record = work.json("export.json")
    assert "input `picture` is taken channels first, as the recipe has it" in record["changes"]
    assert record["warnings"] == []
    inputs = {"picture": recipe_input([1, 32, 32, 3])}
    told, work = export(jobs, tmp_path, made / "sequential.keras", inputs)
    assert told == Told()
    plain = model_of(work)
    assert operator_counts(plain)["Transpose"] == operator_counts(turned).get("Transpose", 0) + 1
    assert "declare its shape with the channels first" in work.json("export.json")["warnings"][0]
    x = np.random.default_rng(1).random((1, 32, 32, 3), np.float32)
    one: Any = FloatRun(plain)({"picture": x})["classes"]
    other = FloatRun(turned)({"picture": x.transpose(0, 3, 1, 2)})["classes"]
    assert np.abs(one - other).max() < CLOSE


def test_the_same_bytes_in_another_folder_and_process(
    jobs: ToolchainJobs, made: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The seeds of hashes and the addresses differ; tf2onnx orders nodes by both."""
    two, picture = {"image": IMAGE, "extra": EXTRA}, {"picture": recipe_input([1, 3, 32, 32])}
    fresh = ToolchainJobs.start("tensorflow", request, tmp_path / "log")
    for file, inputs in {
        "two.keras": two,
        "two_exported": two,
        "sequential.keras": picture,
        "keras_2.h5": {"picture": recipe_input()},
        "looping": {},
    }.items():
        told, one = export(jobs, tmp_path / "a", made / file, inputs)
        assert told == Told()
        _, other = export(fresh, tmp_path / "another, longer", made / file, inputs)
        for name in ("model.onnx", "export.json"):
            assert (one.out / name).read_bytes() == (other.out / name).read_bytes()
    fresh.close()


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({}, ["image float32 [1, 16, 16, 3]", "extra float32 [1, 4]"]),
        (
            {"extra": recipe_input([2, 4])},
            ["extra float32 [2, 4]", "image float32 [2, 16, 16, 3]"],
        ),
        (
            {"image": recipe_input([2, 3, 16, 16]), "extra": recipe_input()},
            ["image float32 [2, 3, 16, 16]", "extra float32 [2, 4]"],
        ),
    ],
)
def test_what_the_recipe_leaves_out(
    jobs: ToolchainJobs, made: Path, tmp_path: Path, inputs: dict[str, Any], expected: list[str]
) -> None:
    told, work = export(jobs, tmp_path, made / "two.keras", inputs)
    assert told == Told()
    assert told_types(model_of(work))[:2] == expected


def test_an_output_that_onnx_cannot_express_can_be_left_out(
    jobs: ToolchainJobs, made: Path, tmp_path: Path
) -> None:
    inputs = {"x": recipe_input([1, 4]), "ids": recipe_input([1, 2], "int32")}
    told, _ = export(jobs, tmp_path, made / "module", inputs)
    assert told.what.startswith("tf2onnx 1.17.0 has no ONNX operator for StringLength `")
    told, work = export(jobs, tmp_path, made / "module", inputs, ("sum",))
    assert told == Told()
    assert work.json("export.json")["maximum_difference"] == {"sum": 0.0}


# file, inputs, outputs, what, advice
BAD: dict[str, tuple[str, dict[str, Any], tuple[str, ...], str, str]] = {
    "unknown input": (
        "two.keras",
        {"imag": IMAGE},
        (),
        "the model has no input `imag`",
        "did you mean `image`?",
    ),
    "another shape": (
        "two.keras",
        {"image": recipe_input([1, 8, 16, 3])},
        (),
        "input `image`: the recipe says [1, 8, 16, 3], the model takes [?, 16, 16, 3]",
        "",
    ),
    "another type": (
        "two.keras",
        {"image": recipe_input([1, 16, 16, 3], "uint8")},
        (),
        "input `image`: the recipe says uint8, the model takes float32",
        "`dtype: float32`",
    ),
    "two batches": (
        "two.keras",
        {"image": recipe_input([2, 16, 16, 3]), "extra": recipe_input([1, 4])},
        (),
        "tf2onnx 1.17.0 cannot convert the network: Dimension 0 in both shapes must be equal",
        "",
    ),
    "open height": (
        "any_size.keras",
        {"picture": recipe_input()},
        (),
        "input `picture` has the shape",
        "",
    ),
    "unknown output": (
        "two.keras",
        {},
        ("score",),
        "the model has no output `score`",
        "did you mean `scores`?",
    ),
    "several signatures": (
        "several",
        {},
        (),
        "`several` has no signature `serving_default`; its signatures: first, second",
        "serving_default",
    ),
    "no SavedModel": ("empty", {}, (), "`empty` is no SavedModel: it has no saved_model.pb", ""),
    "no Keras": (
        "text.keras",
        {},
        (),
        "`text.keras` cannot be loaded by Keras 3.",
        "copy or download it again",
    ),
    "of Keras 2": (
        "lambda_2.h5",
        {},
        (),
        "`lambda_2.h5` cannot be loaded by Keras 3.",
        "Keras 2.13.1 wrote it, whose layers are not all those of Keras 3: load it there, or with "
        "tf_keras, and save it as a SavedModel",
    ),
    "cut": ("cut.keras", {}, (), "`cut.keras` cannot be loaded by Keras 3.", ""),
    "cut h5": ("cut.h5", {}, (), "`cut.h5` cannot be loaded by Keras 3.", ""),
    "nothing in it": ("nothing.keras", {}, (), "`nothing.keras` is empty", "again"),
    "missing": ("gone.keras", {}, (), "`gone.keras` does not exist", ""),
    "damaged": ("damaged", {}, (), "`damaged` cannot be loaded by TensorFlow 2.", "variables"),
}


@pytest.fixture(scope="module")
def files(made: Path) -> Path:
    """The files of `made`, and bad ones beside them."""
    (made / "empty").mkdir()
    (made / "text.keras").write_text("hello")
    (made / "nothing.keras").touch()
    for name in ("two.keras", "two.h5"):
        whole = (made / name).read_bytes()
        (made / name.replace("two", "cut")).write_bytes(whole[: len(whole) // 2])
    (made / "damaged").mkdir()
    (made / "damaged" / "saved_model.pb").write_bytes(b"\x00hello")
    return made


@pytest.mark.parametrize("name", BAD)
def test_bad_sources_are_refused(
    jobs: ToolchainJobs, files: Path, tmp_path: Path, name: str
) -> None:
    file, inputs, outputs, what, advice = BAD[name]
    told, work = export(jobs, tmp_path, files / file, inputs, outputs)
    assert told.what.startswith(what)
    assert advice in told.advice
    assert not (work.out / "model.onnx").exists()
    assert str(tmp_path) not in told.what
