"""The repository's trained models as float graphs with labelled data, for every training seed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from quant.equalization.equalize import equalize
from quant.execution.run import FloatRun
from quant.execution.shapes import fix_inputs, renew_shapes
from quant.fixed_point.calibration.ranges import Range, observe
from quant.fixed_point.calibration.tuning import Tuner, Tuning
from quant.fixed_point.lower import lower
from quant.fixed_point.network.options import Options
from quant.fixed_point.onnx.to_onnx import to_onnx
from quant.fixed_point.prepare import prepare
from quant.graph.file import read
from quant.graph.types import input_types
from tests.conftest import ROOT
from tests.workspace import Workspace

Arrays = Mapping[str, NDArray[Any]]
Case = tuple[str, int]  # model, seed
MODELS = ROOT / "models"
SEEDS = (0, 1, 2)
NAMES = ("mobilenet_v1", "mmoe")


@dataclass(frozen=True)
class Data:
    """calibration, test: network input -> every sample, ready for it. labels: output -> classes."""

    calibration: Arrays
    test: Arrays
    labels: Arrays

    @classmethod
    def of(cls, name: str) -> Data:
        folder = MODELS / name / "data"

        def load(**files: str) -> dict[str, NDArray[Any]]:
            return {key: np.load(folder / f"{file}.npy") for key, file in files.items()}

        if name == "mmoe":
            return cls(
                load(user="calibration_user", item="calibration_item"),
                load(user="test_user", item="test_item"),
                load(task1="test_task1", task2="test_task2"),
            )
        pixels = load(calibration="calibration", test="test_inputs")
        images = {key: (x.astype(np.float32) - 128) / 64 for key, x in pixels.items()}
        return cls(
            {"image": images["calibration"]}, {"image": images["test"]}, load(scores="test_labels")
        )

    @property
    def test_count(self) -> int:
        return len(next(iter(self.test.values())))

    @property
    def portion(self) -> int:
        """Test samples that run at once: what 20 images make stays in the processor's cache."""
        return 20 if "image" in self.test else self.test_count

    def portions(self) -> Iterator[Arrays]:
        """The test samples, `portion` by `portion`."""
        assert self.test_count % self.portion == 0
        for i in range(0, self.test_count, self.portion):
            yield {name: x[i : i + self.portion] for name, x in self.test.items()}

    def calibration_samples(self) -> list[dict[str, NDArray[Any]]]:
        """One by one, as the network of batch 1 takes them."""
        return list(one_by_one(self.calibration))


@dataclass(frozen=True)
class Score:
    """Output -> percent of the test samples that are right, and that get the float's class."""

    right: Mapping[str, float]
    agreement: Mapping[str, float]


@dataclass(frozen=True)
class Trained:
    """model: float, batch 1. given: ranges and tuning, where they are not the calibration's."""

    model: onnx.ModelProto
    data: Data
    classes: Arrays  # what float says
    given: tuple[Mapping[str, Range], Tuning] | None = None

    @classmethod
    def of(cls, model: onnx.ModelProto, data: Data) -> Trained:
        model = prepare(model)
        wide = with_batch(model, data.test_count)
        scores = FloatRun(wide)(data.test)
        classes = {name: found.argmax(axis=1) for name, found in scores.items()}
        return cls(model, data, classes)

    @cached_property
    def calibrated(self) -> tuple[Mapping[str, Range], Tuning]:
        """Ranges and tuning; taken when they are first asked for."""
        return self.given or observed(self.model, self.data.calibration_samples())

    def equalized(self) -> Trained:
        """Float's classes stay: equalization is exact."""
        return Trained(prepare(equalize(self.model)), self.data, self.classes)

    def float_score(self) -> Score:
        return self._score(self.classes)

    def score(self, options: Options) -> Score:
        """What the integer network makes of the test samples."""
        # Constant shifts read neither.
        ranges, tuning = ({}, None) if options.shifts == "constant" else self.calibrated
        network = to_onnx(lower(self.model, ranges, options, tuning), "q")
        scores = optimized_run(with_batch(network, self.data.portion), self.data.portions())
        return self._score({name: scores[name].argmax(axis=1) for name in self.data.labels})

    def _score(self, classes: Arrays) -> Score:
        labels = self.data.labels
        return Score(
            {name: 100 * float(np.mean(classes[name] == labels[name])) for name in labels},
            {name: 100 * float(np.mean(classes[name] == self.classes[name])) for name in labels},
        )


def one_by_one(arrays: Arrays) -> Iterator[dict[str, NDArray[Any]]]:
    for i in range(len(next(iter(arrays.values())))):
        yield {name: x[i : i + 1] for name, x in arrays.items()}


def observed(model: onnx.ModelProto, samples: Iterable[Arrays]) -> tuple[dict[str, Range], Tuning]:
    """Ranges, and what GPTQ takes."""
    tuner = Tuner(model)
    return observe(model, samples, tuner), tuner.tuning()


def optimized_run(network: onnx.ModelProto, portions: Iterable[Arrays]) -> dict[str, NDArray[Any]]:
    """In onnxruntime as it is by default, twice as fast: whole numbers are the same in any order.

    tests/test_fixed_point_fuzz.py holds that against the reference.
    """
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        network.SerializeToString(), settings, ["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    runs = zip(*(session.run(None, dict(inputs)) for inputs in portions), strict=True)
    return {name: np.concatenate(run) for name, run in zip(names, runs, strict=True)}


def with_batch(model: onnx.ModelProto, count: int) -> onnx.ModelProto:
    """A network of batch 1 for `count` samples at once; a Reshape keeps what is given."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    shapes = {name: type_.static_shape for name, type_ in input_types(wide).items()}
    fix_inputs(wide, {name: (count, *shape[1:]) for name, shape in shapes.items()})
    for value in wide.graph.output:
        value.type.tensor_type.shape.dim[0].dim_value = count
    targets = {node.input[1] for node in wide.graph.node if node.op_type == "Reshape"}
    for tensor in wide.graph.initializer:
        if tensor.name in targets:
            shape = numpy_helper.to_array(tensor)
            moved = np.concatenate([[count], shape[1:]]).astype(np.int64)
            tensor.CopyFrom(numpy_helper.from_array(moved, tensor.name))
    return renew_shapes(wide)


def twin(name: str) -> str:
    """The same network from a TFLite file."""
    return f"{name}_tflite"


def export(root: Path, cases: Mapping[Case, Path | None]) -> dict[Case, Trained]:
    """(model, seed) -> the network, exported and simplified as its recipe says.

    cases: with the TFLite file of a twin's other training. root: an empty folder.
    """
    workspace = Workspace(root)
    for name in dict.fromkeys(_data_of(name) for name, _ in cases):
        _copy(workspace, name, name)  # the twins read its data
    copies = {case: _add(workspace, *case, file) for case, file in cases.items()}
    done = workspace.doit(*(f"{copy}:simplify" for copy in copies.values()))
    assert done.code == 0, done.err
    return {
        case: Trained.of(
            read(workspace.built(copy, "simplify/model.onnx")), Data.of(_data_of(case[0]))
        )
        for case, copy in copies.items()
    }


def _add(workspace: Workspace, name: str, seed: int, file: Path | None) -> str:
    """Copy a model's folder with one training's weights. Returns the copy's name."""
    copy = f"{name}-seed{seed}"
    folder = _copy(workspace, name, copy)
    if file:
        shutil.copyfile(file, folder / "net.tflite")
    elif seed:
        shutil.copyfile(folder / weights_file(seed), folder / weights_file(0))
    recipe = folder / "recipe.yaml"
    recipe.write_text(re.sub(r"(?m)^model: .*$", f"model: {copy}", recipe.read_text()))
    return copy


def weights_file(seed: int) -> str:
    """Where a training's weights are, in its model's folder."""
    return f"seeds/{seed}.safetensors" if seed else "weights.safetensors"


def _copy(workspace: Workspace, name: str, copy: str) -> Path:
    folder = workspace.root / "models" / copy
    ignored = shutil.ignore_patterns("build", "dvc.*", "__pycache__")
    shutil.copytree(MODELS / name, folder, ignore=ignored)
    return folder


def _data_of(name: str) -> str:
    return name.removesuffix("_tflite")
