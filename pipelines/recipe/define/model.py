"""What a recipe says, checked and resolved: plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.files.where import Where
from quant.samples.input import Input as Input
from quant.samples.input import Raw as Raw


@dataclass(frozen=True)
class Source:
    """Where the network comes from.

    kind: torch, torchscript, onnx, tflite, keras or saved_model.
    file: path below the model's folder. function: the torch builder in it.
    """

    kind: str
    file: str
    function: str | None = None
    weights: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    exporter: str = "torchscript"
    opset: int = 15
    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Constant:
    """An input that is given a value, and so is none any more. shape, dtype: None for the model's.

    value: a number, true or false, or an array in lists.
    """

    value: Any
    shape: tuple[int, ...] | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class Samples:
    """Data for calibration or analysis: exactly one of images, list, npy and raw is set."""

    images: str | None = None
    list: str | None = None
    npy: tuple[str, ...] | Mapping[str, str] | None = None
    raw: tuple[str, ...] | Mapping[str, str] | None = None
    samples: int | None = None  # the first N, in sorted order; fewer is an error
    at_most: int | None = None  # where the recipe names no number: the first N, or all if fewer


@dataclass(frozen=True)
class Simplify:
    tool: str = "auto"  # onnxsim, onnxslim, none, or auto: the first that leaves a good graph
    rewrite: tuple[str, ...] = ("fold_batch_norm",)
    # Largest output difference, relative to the output's largest magnitude. Left out: 1e-4 for
    # float32, 1e-2 for float16.
    tolerance: float | None = None
    divide: Mapping[str, float] = field(default_factory=dict)  # of the rewrite divide_outputs


@dataclass(frozen=True)
class Analyze:
    """sdk: the vendor's own analysis in any case, beside ours."""

    samples: Samples | None = None  # the calibration data where the recipe names none
    sdk: bool = False


@dataclass(frozen=True)
class Evaluate:
    """Labelled data. inputs: npy file, or input name -> npy file.

    labels: npy of class indices of the first output, or output name -> npy file; anything where
    metric is a function. metric: `top1`, or `FILE.py:FUNCTION`.
    """

    inputs: str | Mapping[str, str]
    labels: str | Mapping[str, str]
    metric: str = "top1"
    samples: int | None = None

    @property
    def function(self) -> tuple[str, str] | None:
        """The file and its function that measures."""
        file, colon, name = self.metric.rpartition(":")
        return (file, name) if colon else None


@dataclass(frozen=True)
class Gates:
    min_cosine: float | None = None
    min_output_cosine: float | None = None
    max_output_error: float | None = None
    max_size_ratio: float | None = None
    max_cpu_layers: int | None = None
    max_float_layers: int | None = None
    min_accuracy: float | None = None
    min_metrics: Mapping[str, float] = field(default_factory=dict)
    max_metrics: Mapping[str, float] = field(default_factory=dict)
    runtime: str | None = None


@dataclass(frozen=True)
class Limits:
    minutes: float | None = None  # that one step may run


@dataclass(frozen=True)
class Target:
    """One thing to build for, with the recipe's sections as this target sees them.

    family: the target's name in the recipe, which the targets of a sweep share. platform: None
    where any processor will do. options: what its backend alone reads, of a class of its own.
    """

    name: str
    family: str
    backend: str
    platform: str | None
    toolchain: str
    calibration: Samples | None
    analyze: Analyze
    where: Where
    options: object
    gates: Gates = Gates()
    is_baseline: bool = False  # bad on purpose: the table says so


@dataclass(frozen=True)
class Recipe:
    """One model. `raw` is the file's YAML data as written, for facts and dvc.lock."""

    model: str
    file: str  # models/NAME/recipe.yaml, relative to the project
    description: str
    source: Source
    inputs: Mapping[str, Input]
    outputs: tuple[str, ...]
    simplify: Simplify
    calibration: Samples | None  # the model's own, before any target's override
    evaluate: Evaluate | None
    gates: Gates
    targets: Mapping[str, Target]
    raw: Mapping[str, Any]
    marks: Mapping[str, Where]  # dotted path -> place of the key, for later messages
    limits: Limits = Limits()
    outside: tuple[str, ...] = ()  # paths that may lead out of the project by a link
    build: str = "build"  # folder for artifacts below the model's; a trial has its own
    constants: Mapping[str, Constant] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return self.file.rpartition("/")[0]

    def where(self, path: str) -> Where:
        """The place of a dotted path, or of its nearest ancestor that is written."""
        while path and path not in self.marks:
            path = path.rpartition(".")[0]
        return self.marks.get(path, Where(self.file, 1, 1))
