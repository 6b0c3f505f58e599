"""look at a Keras file or a SavedModel (toolchain tensorflow): its inputs, and its own scaling."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import tensorflow as tf

from pipelines.run.jobs.job import Job
from pipelines.stages.export.jobs.look.seen import Look, told
from pipelines.stages.export.jobs.params import LookParams
from pipelines.stages.export.jobs.source_file import source_file
from pipelines.stages.export.jobs.tensorflow_network import load_keras, load_saved_model
from quant.graph.types import shape_text

_SCALING = ("Rescaling", "Normalization")
_MOVED = "the model has it as {}; the ONNX graph made of it has the channels first"


def run(job: Job[LookParams]) -> None:
    source, file = job.params.source, source_file(job)
    is_keras = source.kind == "keras"
    network = (load_keras if is_keras else load_saved_model)(file, source.file)
    look = Look({}, f"loaded by tensorflow {tf.__version__}")
    inputs: dict[str, dict[str, Any]] = {}
    for name, type_ in network.inputs.items():
        shape = told(type_)["shape"]
        if shape and len(shape) == 4 and shape[3] in (1, 3):
            look.shape_reasons[name] = {"reason": _MOVED.format(shape_text(shape))}
            shape = [shape[axis] for axis in (0, 3, 1, 2)]
        inputs[name] = {"shape": shape, "dtype": type_.dtype}
    look.inputs = inputs
    if is_keras and (own := sorted({*_SCALING} & set(_layers(_config(file))))):
        look.pixels = {"reason": f"the network has a layer {own[0]}: it scales pixels itself"}
    look.save(job)


def _config(file: Path) -> Any:
    """The layers as the file's own JSON tells them; nothing where it has none."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return json.loads(archive.read("config.json"))
    with h5py.File(file) as held:
        return json.loads(held.attrs.get("model_config", "{}"))


def _layers(config: Any) -> Iterator[str]:
    """The class names of all layers, those of models in models too."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str):
            yield config["class_name"]
        for value in config.values():
            yield from _layers(value)
    elif isinstance(config, list):
        for value in config:
            yield from _layers(value)
