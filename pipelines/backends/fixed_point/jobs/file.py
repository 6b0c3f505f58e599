"""One file to whole numbers, without a recipe: export, simplify, quantize and build in one job.

For `./doit quantize` (toolchain core).

params: FileParams. inputs: source, the .onnx or .tflite file, and data where there is calibration:
an npy file, a folder of images, or one with INPUT.npy for each input.

Writes out/NAME_quant.onnx, out/NAME_quant.tflite (not where operators stay in float) and
out/quantized.json: {bytes: {file: bytes}, source_bytes, outputs: {name: its errors against the
float network, as in metrics.json}, samples, notes: [sentences]}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import onnx

from pipelines.backends.fixed_point.jobs.files import Arrays, Files, options_of, prove
from pipelines.backends.fixed_point.jobs.params import FileParams
from pipelines.backends.fixed_point.jobs.prepared import Prepared
from pipelines.recipe.define.model import Samples, Simplify, Source
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.compare.jobs.comparison import compare
from pipelines.stages.compare.jobs.float_network import Outputs
from pipelines.stages.export.jobs import check_onnx
from pipelines.stages.export.jobs import from_onnx as export_onnx
from pipelines.stages.export.jobs import from_tflite as export_tflite
from pipelines.stages.export.jobs.params import Declared, ExportParams
from pipelines.stages.samples.jobs import samples
from pipelines.stages.samples.jobs.calibration_inputs import all_inputs
from pipelines.stages.samples.jobs.params import DataParams
from pipelines.stages.simplify.jobs import simplify
from pipelines.stages.simplify.jobs.params import SimplifyParams
from quant.execution.run import FloatRun
from quant.fixed_point.calibration.clipping import clipped_inputs
from quant.fixed_point.calibration.ranges import data_free_samples
from quant.graph.file import parse, read
from quant.graph.tensors import tensors
from quant.graph.types import TensorType, input_types
from quant.nearest import did_you_mean
from quant.samples.images.image_names import DEFAULT_COLORS
from quant.samples.input import Input

_EXPORT, _SIMPLIFY = "export", "simplify"  # folders of those stages' jobs
_COMPARED = 8  # samples whose outputs are compared with the float network's
_PROVEN = 2  # samples whose every integer is compared


def run(job: Job[FileParams]) -> None:
    name, model = job.params.name, _simplified(job)
    types = input_types(model)
    scales = _scales(job.params.input_scale, types)
    chosen = replace(job.params.options, input_scale=scales)
    given = _given(job, types) if "data" in job.inputs else None
    prepared = Prepared.of(model, chosen, _samples(given, model, types))
    files = Files.of(prepared, options_of(chosen), name)
    feeds = list(islice(_samples(given, model, types), _COMPARED))
    prove(files, feeds[:_PROVEN])
    sizes = {}
    for kind, data in files.by_kind().items():
        (job.out / f"{name}_quant.{kind}").write_bytes(data)
        sizes[f"{name}_quant.{kind}"] = len(data)
    outputs, findings = compare(_pairs(model, files, feeds))
    clipped = clipped_inputs(files.network, feeds) if given else ()
    record = {
        "bytes": sizes,
        "source_bytes": job.inputs["source"].stat().st_size,
        "outputs": outputs,
        "samples": len(feeds),
        "notes": [*files.network.notes, *clipped, *findings],
    }
    text = json.dumps(record, indent=1, allow_nan=False)
    (job.out / "quantized.json").write_text(text + "\n")


def _samples(
    given: Job[DataParams] | None, model: onnx.ModelProto, types: Mapping[str, TensorType]
) -> Iterator[Arrays]:
    """As the network takes them: of the calibration data, or made up."""
    return all_inputs(given, types) if given else data_free_samples(model)


def _simplified(job: Job[FileParams]) -> onnx.ModelProto:
    """The source through the jobs of export and simplify, each in a folder of its own."""
    is_tflite = Path(job.params.file).suffix.lower() == ".tflite"
    file = job.inputs["source"].resolve() if is_tflite else _onnx_file(job)
    inputs = {} if is_tflite else _declared(input_types(parse(file, job.params.file)))
    source = Source("tflite" if is_tflite else "onnx", job.params.file)
    params = ExportParams(source=source, inputs=inputs)
    exported, simplified = (job.scratch / name for name in (_EXPORT, _SIMPLIFY))
    for folder in (exported, simplified):
        folder.mkdir()
    export = export_tflite if is_tflite else export_onnx
    export.run(Job(params, {"source": file}, exported, job.scratch))
    made = _declared(input_types(read(exported / "model.onnx")))
    check_onnx.run(Job(replace(params, inputs=made), {}, exported, job.scratch))
    told = SimplifyParams(simplify=Simplify())
    simplify.run(Job(told, {"model": exported / "model.onnx"}, simplified, job.scratch))
    return read(simplified / "model.onnx")


def _onnx_file(job: Job[FileParams]) -> Path:
    """Where side files of weights stand beside it: the path that was given, or what it links to."""
    given = Path(job.params.folder, job.params.file)
    if not given.is_symlink():
        return given
    told = (t.external_data for t in tensors(parse(given, given.name).graph))
    sides = {entry.value for entries in told for entry in entries if entry.key == "location"}
    is_here = all((given.parent / side).exists() for side in sides)
    return given if is_here else job.inputs["source"].resolve()


def _declared(types: Mapping[str, TensorType]) -> dict[str, Declared]:
    """The inputs as a recipe declares them; a batch that is not fixed becomes 1."""
    found = {}
    for name, type_ in types.items():
        shape = None if type_.shape is None else list(type_.shape)
        if shape and not isinstance(shape[0], int):
            shape[0] = 1
        fixed = tuple(length for length in shape or () if isinstance(length, int))
        if shape is None or len(fixed) != len(shape):
            raise Refusal(
                f"input `{name}` has the shape {type_}, which is not fixed",
                "export it with fixed lengths, or write a recipe that gives the `shape`",
            )
        found[name] = Declared(fixed, type_.dtype)
    return found


def _input(params: FileParams, type_: TensorType) -> Input:
    """What a recipe would say of an input; mean and std are of real ones."""
    given = replace(params.input, shape=type_.static_shape, dtype=type_.dtype)
    return given if type_.dtype.startswith("float") else replace(given, mean=None, std=None)


def _scales(given: Sequence[tuple[Any, ...]], types: Mapping[str, TensorType]) -> Any:
    """One factor, or input -> factor. Raises Refusal on names and numbers that do not fit."""
    real = [name for name, type_ in types.items() if type_.dtype.startswith("float")]
    if len(given) == 1 and given[0][0] is None:
        return given[0][1]
    names = [name for name, _ in given]
    for name in names:
        if name is not None and name not in real:
            advice = did_you_mean(name, real, "its real inputs")
            raise Refusal(f"input_scale names the input `{name}`", advice)
    if any(name is None for name in names) and any(name is not None for name in names):
        raise Refusal("some input_scales name an input, and some do not", "name it in each")
    if len(given) != len(real) or (None not in names and set(names) != set(real)):
        raise Refusal(
            f"{len(given)} input_scales for {len(real)} real inputs ({', '.join(real)})",
            "give one for all, or one for each",
        )
    return {name or other: scale for (name, scale), other in zip(given, real, strict=True)}


def _given(job: Job[FileParams], types: Mapping[str, TensorType]) -> Job[DataParams]:
    """The job that has left samples/, as stages.samples does."""
    data = job.inputs["data"].resolve()
    told = {name: _input(job.params, type_) for name, type_ in types.items()}
    files = {"model": job.scratch / _SIMPLIFY / "model.onnx"}
    npy = _npy_files(data, types)
    if npy:
        chosen = Samples(npy={name: file.name for name, file in npy.items()})
        files |= {f"data_{i}": file for i, file in enumerate(npy.values())}
    else:
        chosen = Samples(images=data.name)
        files["data"] = data
        told = {n: replace(one, color=one.color or _color(types[n])) for n, one in told.items()}
    params = DataParams(inputs=told, samples=replace(chosen, samples=job.params.samples))
    made = Job(params, files, job.out, job.scratch)
    samples.run(made)
    return made


def _color(type_: TensorType) -> str | None:
    shape = type_.static_shape
    return DEFAULT_COLORS.get(shape[1]) if len(shape) == 4 else None


def _npy_files(data: Path, types: Mapping[str, TensorType]) -> dict[str, Path]:
    """Input -> npy file; none for a folder of images."""
    if data.is_file():
        if len(types) > 1:
            raise Refusal(
                f"{data.name} is one file, and the network has {len(types)} inputs",
                f"give a folder with {', '.join(_file_name(name) for name in types)}",
            )
        return {next(iter(types)): data}
    if not any(data.glob("*.npy")):
        return {}
    found = {name: data / _file_name(name) for name in types}
    for name, file in found.items():
        if not file.is_file():
            raise Refusal(
                f"no file {file.name} for the input `{name}` in the calibration folder",
                f"it needs {', '.join(_file_name(one) for one in types)}",
            )
    return found


def _file_name(name: str) -> str:
    """INPUT.npy, `_` for what a file's name should not hold."""
    return re.sub(r"[^\w.-]", "_", name) + ".npy"


def _pairs(
    model: onnx.ModelProto, files: Files, feeds: Sequence[Arrays]
) -> Iterator[tuple[Outputs, Outputs]]:
    real, integer = FloatRun(model), FloatRun(files.model())
    for one in feeds:
        yield dict(real(one)), dict(integer(one))
