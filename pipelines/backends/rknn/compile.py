"""Making a compiled network in an Sdk object, as both build and analyze need it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.backends.rknn import hybrid, options, sdk_samples
from pipelines.backends.rknn.sdk import Sdk
from pipelines.jobs import prepared_samples
from pipelines.jobs.job import Job


@dataclass(frozen=True)
class Compiled:
    """inputs: names in the SDK's order. config, load: arguments that were used.

    For a network that was compiled from step 1's files, rules: rewrites that fired there, and
    renamed: of hybrid.output_names.
    """

    sdk: Sdk
    inputs: list[str]
    config: Mapping[str, Any]
    load: Mapping[str, Any]
    rules: list[Mapping[str, Any]]
    renamed: Mapping[str, str]


def compile_network(job: Job, *, verbose: bool = True) -> Compiled:
    """Step 2 from in/quantize where the step has it, else one `build` from the model itself.

    One `build` makes float16 and prequantized networks, and those that step 1 can't: auto_hybrid,
    gdq, dynamic_input. Raises Refusal.
    """
    if "quantize" in job.inputs:
        return _from_step1(job.inputs["quantize"], job.params["build"]["layers"], verbose)
    return _in_one_call(job, verbose)


def _from_step1(folder: Path, layers: Mapping[str, str], verbose: bool) -> Compiled:
    told = json.loads((folder / "config.json").read_text())
    names = ("model.model", "model.data", "model.quantization.cfg")
    for name in names:
        shutil.copyfile(folder / name, name)
    graph = hybrid.load_graph(Path("model.model"))
    if layers:
        hybrid.check_names(layers, graph)
        config = Path("model.quantization.cfg")
        config.write_text(hybrid.set_layers(config.read_text(), layers))
    sdk = Sdk(verbose=verbose)
    sdk.hybrid_step2(*names)
    rules = json.loads((folder / "rules.json").read_text())
    renamed = hybrid.output_names(graph)
    return Compiled(sdk, told["inputs"], told["config"], told["load"], rules, renamed)


def _in_one_call(job: Job, verbose: bool) -> Compiled:
    model = options.place_model(job.params["source_kind"], job.inputs["model"])
    names = options.input_names(job.params, model)
    config = options.config_options(job.params, names)
    dataset = None
    if options.is_quantized(job.params):
        dataset = "calibration.txt"
        # analyze has samples of its own in samples/, and then these stand in calibration/.
        folder = Path("calibration" if Path("calibration").is_dir() else "samples")
        samples = prepared_samples.read(folder, names)
        sdk_samples.write_list(sdk_samples.for_sdk(samples, job.params), Path(dataset))
    sdk = Sdk(verbose=verbose)
    sdk.config(**config)
    options.load(sdk, job.params, model)
    sdk.build(**options.build_options(job.params, dataset))
    return Compiled(sdk, names, config, options.load_options(job.params), [], {})
