"""Making a compiled network in an Sdk object, as both build and analyze need it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.sdk import hybrid, options, origin
from pipelines.backends.rknn.sdk import samples as sdk_samples
from pipelines.backends.rknn.sdk.api import Sdk
from pipelines.backends.rknn.sdk.refusals.diagnosis import Patient, diagnosed, names_of
from pipelines.backends.rknn.sdk.refusals.left_out import tried_without, without
from pipelines.backends.rknn.sdk.refusals.patient import patient
from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs import prepared_samples
from pipelines.stages.samples.jobs.prepared_samples import CALIBRATION, SAMPLES
from quant.report import build_json


@dataclass(frozen=True)
class Compiled:
    """inputs: names in the SDK's order. config, load: arguments that were used.

    left_out: rules of the SDK that fail on the network, rows of LeftOut. For a network that was
    compiled from step 1's files, rules: rewrites that fired there, and renamed: of
    hybrid.output_names. patient: the network, for what a later call refuses.
    """

    sdk: Sdk
    inputs: list[str]
    config: Mapping[str, Any]
    load: Mapping[str, Any]
    rules: list[Mapping[str, Any]]
    renamed: Mapping[str, str]
    left_out: list[Mapping[str, Any]]
    patient: Patient


def compile_network(job: Job[RknnParams], *, verbose: bool = True) -> Compiled:
    """Step 2 from in/quantize where the step has it, else one `build` from the model itself.

    One `build` makes float16 and prequantized networks, and those that step 1 can't: auto_hybrid,
    gdq, dynamic_input, inputs_yuv_fmt. Raises Refusal.
    """
    if "quantize" in job.inputs:
        return _from_step1(job, job.inputs["quantize"], verbose)
    return _in_one_call(job, verbose)


def input_names(job: Job[RknnParams]) -> list[str]:
    """The compiled network's inputs in the SDK's order, without compiling it."""
    if "quantize" in job.inputs:
        told = json.loads((job.inputs["quantize"] / "config.json").read_text())
        return list(told["inputs"])
    return options.input_names(job.params, job.inputs["model"])


def _from_step1(job: Job[RknnParams], folder: Path, verbose: bool) -> Compiled:
    layers = job.params.build.layers
    told = json.loads((folder / "config.json").read_text())
    names = ("model.model", "model.data", "model.quantization.cfg")
    for name in names:
        shutil.copyfile(folder / name, job.scratch / name)
    graph = hybrid.load_graph(job.scratch / "model.model")
    rules = json.loads((folder / "rules.json").read_text())
    if layers:
        tensors = hybrid.tensors_of(layers, graph, rules)
        config = job.scratch / "model.quantization.cfg"
        config.write_text(hybrid.set_layers(config.read_text(), tensors))
    left_out = told["left_out"]
    network, renamed = names_of(rules, [n.name for n in graph.node]), hybrid.output_names(graph)
    del graph  # it holds the weights, and the SDK reads them again
    who = Patient(network, job.params.target, rules, told["config"].get("disable_rules") or ())
    sdk = Sdk(verbose=verbose)
    with diagnosed(who):
        sdk.hybrid_step2(*names)
    config, load = told["config"], told["load"]
    return Compiled(sdk, told["inputs"], config, load, rules, renamed, left_out, who)


def _in_one_call(job: Job[RknnParams], verbose: bool) -> Compiled:
    model = options.place_model(job)
    names = options.input_names(job.params, model)
    dataset = None
    if options.is_quantized(job.params):
        dataset = "calibration.txt"
        folder = CALIBRATION if job.params.calibration else SAMPLES
        samples = prepared_samples.read(job, names, folder)
        sdk_samples.write_list(sdk_samples.for_calibration(samples, job), job.scratch / dataset)

    def build(config: dict[str, Any]) -> tuple[Sdk, dict[str, Any]]:
        sdk = Sdk(verbose=verbose)
        sdk.config(**config)
        options.load(sdk, job.params, model)
        sdk.build(**options.build_options(job.params, dataset))
        return sdk, config

    known = left_out_before(job)
    config = options.config_options(job.params, names, job.inputs["model"])
    given = without(origin.with_placeholder(config), known)
    who = patient(job)
    (sdk, config), found = tried_without(given, build, who)
    load, left_out = options.load_options(job.params), [*known, *found]
    now = who(config.get("disable_rules") or [])
    return Compiled(sdk, names, config, load, [], {}, left_out, now)


def left_out_before(job: Job[RknnParams]) -> list[Mapping[str, Any]]:
    """What build had left out, for a job after it, which compiles the same again."""
    if "build.json" not in job.inputs:
        return []
    return list(build_json.read(job.inputs["build.json"]).left_out)
