"""Calibration, analysis and labelled data, checked and written for the jobs behind this one.

Runs in the toolchain core, before the SDK: the SDK takes images of the wrong size or with the
wrong channels without a word.

params: DataParams.
inputs:
    model, or float where there is none   the ONNX file that tells names, shapes, types and order
    data                   the folder of images, or the list file; files that a list names are
                           found from the list's real place, wherever the link to it is
    data_0, data_1 ...     npy or raw files, in the order of the recipe's list or mapping
    evaluate_inputs_0 ...  the labelled inputs, in the order of the recipe's mapping
    evaluate_labels        the labels of the first output; evaluate_labels_0 ... of each output
                           that the recipe names, in its order

Writes in the scratch folder, where there are samples:
    samples/0000_0.npy     sample 0 of the network's input 0, with the network's batch, in its
                           layout and type, in pixel units: mean and std are not applied
    samples/dataset.txt    a line a sample, `0000_0.npy 0000_1.npy`, relative to the list itself:
                           the SDK looks for a list's files beside the list
and where there is labelled data:
    samples/evaluate_0.npy        [N, *shape without batch] of input 0, in pixel units too
    samples/evaluate_labels.npy   int64 [N]; evaluate_labels_0.npy ... for named outputs
and always samples/samples.json:
    {"count", "inputs": [names in the network's order], "files": [[source names] a sample],
     "resized": number of images, "digest": SHA-256 of the arrays, "warnings": [sentences],
     "random": true (where there was no data),
     "evaluate": null or {"count", "digest", "outputs": [names, may be none]}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.recipe.define.model import Evaluate, Samples
from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs.params import DataParams
from pipelines.stages.samples.jobs.prepared_samples import SAMPLES
from quant.graph.file import parse
from quant.graph.types import TensorType, input_types, require_static
from quant.samples.evaluation import read_any, read_labels, write_evaluation
from quant.samples.files import Written, write_samples
from quant.samples.input import Input
from quant.samples.input_form import InputForm, input_forms
from quant.samples.label_files import FIRST
from quant.samples.random_samples import RandomSource
from quant.samples.samples import Named, Source, from_files, from_images, from_list

_SHAPE = "declare the `shape` of every input in the recipe"


def run(job: Job[DataParams]) -> None:
    """Prepares `samples/`; see above. Raises Fault on data that does not fit the network."""
    prepare(job, SAMPLES)


def prepare(job: Job[DataParams], name: str) -> None:
    """The same in a folder of another name."""
    forms = _forms(job)
    folder = job.scratch / name
    folder.mkdir(exist_ok=True)
    given, labelled = job.params.samples, job.params.evaluate
    written = Written()
    if given is not None:
        source = _source(job, given, forms)
        wanted = given.samples
        if wanted is None and given.at_most is not None:
            wanted = min(len(source), given.at_most)
        written = write_samples(source, wanted, forms, folder)
    count = job.params.random if given is None else 0
    if count:
        written = write_samples(RandomSource(forms, count), None, forms, folder)
    record = {"inputs": [form.name for form in forms], **asdict(written), "evaluate": None}
    if count:
        record["random"] = True
    if labelled is not None:
        record["evaluate"] = _evaluate(job, labelled, forms, folder)
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "samples.json").write_text(text + "\n", encoding="utf-8")
    print(f"{written.count} samples, {written.resized} images resized")
    for sentence in written.warnings:
        print(f"warning: {sentence}")


def _forms(job: Job[DataParams]) -> list[InputForm]:
    """What the network takes: as its ONNX file says, else the recipe."""
    recipe = job.params.inputs
    if job.params.source_kind == "onnx":
        path = job.inputs["model" if "model" in job.inputs else "float"]
        types = input_types(parse(path, path.name))
    else:
        types = {name: _declared(told) for name, told in recipe.items()}
    require_static(types, "input", _SHAPE)
    is_channels_last = job.params.source_kind == "tflite"
    return input_forms(types, recipe, -1 if is_channels_last else 1)


def _declared(told: Input) -> TensorType:
    return TensorType(told.shape, told.dtype)


def _source(job: Job[DataParams], given: Samples, forms: Sequence[InputForm]) -> Source:
    if given.images is not None:
        return from_images(job.inputs["data"], forms, given.images)
    if given.list is not None:
        return from_list(job.inputs["data"], forms, given.list)
    held = given.npy if given.npy is not None else given.raw
    assert held is not None  # one of the four is set
    return from_files(_files(job, held, "data", forms), forms)


def _files(
    job: Job[DataParams],
    given: str | Sequence[str] | Mapping[str, str],
    key: str,
    forms: Sequence[InputForm],
) -> dict[str, list[Named]]:
    """Input name -> its files. A plain name or list of names is for the network's only input."""
    if isinstance(given, Mapping):
        numbered = enumerate(given.items())
        return {name: [(file, job.inputs[f"{key}_{i}"])] for i, (name, file) in numbered}
    names = [given] if isinstance(given, str) else given
    return {forms[0].name: [(file, job.inputs[f"{key}_{i}"]) for i, file in enumerate(names)]}


def _evaluate(
    job: Job[DataParams], given: Evaluate, forms: Sequence[InputForm], folder: Path
) -> dict[str, Any]:
    files = _files(job, given.inputs, "evaluate_inputs", forms)
    labels: dict[str, Named] = {}
    if isinstance(given.labels, str):
        labels[FIRST] = (given.labels, job.inputs["evaluate_labels"])
    else:
        for i, (output, file) in enumerate(given.labels.items()):
            labels[output] = (file, job.inputs[f"evaluate_labels_{i}"])
    read = read_any if given.function else read_labels
    return asdict(write_evaluation(files, labels, given.samples, forms, folder, read))
