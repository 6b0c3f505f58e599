"""Making a torch network of a recipe's source: a Python function, or a TorchScript file."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipelines.recipe.define.model import Source
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.run.jobs.user_code import errors_told, load_module
from pipelines.stages.export.jobs.params import ExportParams, LookParams
from pipelines.stages.export.jobs.source_file import model_folder, source_file
from pipelines.stages.export.jobs.torch_weights import load_weights
from quant.nearest import did_you_mean

_SEED = 0


def load_network(job: Job[ExportParams] | Job[LookParams]) -> nn.Module:
    """The network in evaluation mode, with its weights.

    Raises Refusal on whatever is wrong with the source, its function, its arguments or its weights.
    """
    source = job.params.source
    seed()
    made = _built(job) if source.kind == "torch" else _loaded(source_file(job), source)
    if source.weights:
        load_weights(made, job.inputs["weights"], source.weights)
    return made.eval()


def seed() -> None:
    """The same state for every generator that a network's builder may draw from."""
    random.seed(_SEED)
    np.random.seed(_SEED)
    torch.manual_seed(_SEED)


def _built(job: Job[ExportParams] | Job[LookParams]) -> nn.Module:
    source, folder = job.params.source, model_folder(job)
    file, function = source.file, source.function or ""
    module = load_module(source_file(job), folder, file)
    build = getattr(module, function, None)
    if not callable(build):
        known = [name for name, value in vars(module).items() if callable(value)]
        raise Refusal(
            f"`{file}` has no function `{function}`", did_you_mean(function, known, "it has")
        )
    with errors_told(folder, f"`{file}:{function}` failed"):
        made = build(**source.arguments)
    if not isinstance(made, nn.Module):
        raise Refusal(
            f"`{file}:{function}` returned a {type(made).__name__}, not a torch.nn.Module",
            "return the network itself",
        )
    return made


def _loaded(file: Path, source: Source) -> nn.Module:
    name = source.file
    if source.exporter == "dynamo":
        raise Refusal(
            "the dynamo exporter cannot read TorchScript",
            "use `exporter: torchscript`, or name the Python source as `torch: file.py:function`",
        )
    if not file.is_file():
        raise Refusal(f"`{name}` does not exist", "correct the name, or put the file there")
    _require_torchscript(file, name)
    try:
        return torch.jit.load(str(file), map_location="cpu")
    except Exception as error:  # torch raises RuntimeError, ValueError and others of its own
        raise Refusal(
            f"`{name}` cannot be loaded as TorchScript: {str(error).strip().splitlines()[0]}",
            "save it again with torch.jit.trace(network, example).save(...)",
        ) from error


def _require_torchscript(file: Path, name: str) -> None:
    advice = "save it with torch.jit.trace(network, example).save(...)"
    if not file.stat().st_size:
        raise Refusal(f"`{name}` is empty", "copy or download it again")
    if not zipfile.is_zipfile(file):
        raise Refusal(f"`{name}` is no TorchScript file, or is cut short", advice)
    with zipfile.ZipFile(file) as archive:
        if not any("/code/" in member for member in archive.namelist()):
            raise Refusal(
                f"`{name}` is a checkpoint of torch.save, not TorchScript",
                f"{advice}; or keep the network as `torch: file.py:function` with its weights as "
                "safetensors",
            )
