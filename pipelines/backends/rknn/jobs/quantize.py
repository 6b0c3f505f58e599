"""quantize for the rknn backend: the SDK's hybrid_quantization_step1 (an rknn toolchain).

params: RknnParams. inputs: model. Data: samples/, as stages.samples leaves it.

Writes out/quantize/: model.model, model.data and model.quantization.cfg (the SDK's, what step 2
reads), rules.json (rewrites that fired), config.json (arguments of every SDK call, network: SHA-256
of the file that it loaded, and left_out: graph rules of the SDK that fail on this network and were
disabled for it) and calibration.json. All are the same bytes in any folder. Where the recipe has no
`custom_string`, the SDK is given a placeholder (see pipelines.backends.rknn.sdk.origin).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.sdk import hybrid, options, origin
from pipelines.backends.rknn.sdk import samples as sdk_samples
from pipelines.backends.rknn.sdk.api import Sdk, version
from pipelines.backends.rknn.sdk.refusals import log
from pipelines.backends.rknn.sdk.refusals.left_out import tried_without
from pipelines.backends.rknn.sdk.refusals.lost_ends import require_outputs
from pipelines.backends.rknn.sdk.refusals.patient import patient
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.memory import keep_freed
from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.samples.jobs import prepared_samples
from quant.graph.file import read
from quant.sha256 import sha256_of

# Options that a file made by step 1 and step 2 lacks without a word (2.3.2 and 2.5.0).
FORGOTTEN = ("dynamic_input", "inputs_yuv_fmt")
FILES = ("model.model", "model.data", "model.quantization.cfg")


def run(job: Job[RknnParams]) -> None:
    keep_freed()
    _refuse_forgotten(job.params)
    model = options.place_model(job)
    names, outputs = options.end_names(job.params, model)
    samples = prepared_samples.read(job, names)
    sdk_samples.write_list(sdk_samples.for_calibration(samples, job), job.scratch / "dataset.txt")
    step1 = options.step1_options(job.params)

    def calibrate(config: dict[str, Any]) -> tuple[Sdk, dict[str, Any]]:
        sdk = Sdk()
        sdk.config(**config)
        options.load(sdk, job.params, model)
        sdk.hybrid_step1("dataset.txt", **step1)
        return sdk, config

    (sdk, config), left_out = tried_without(
        origin.with_placeholder(options.config_options(job.params, names, job.inputs["model"])),
        calibrate,
        patient(job),
    )
    held = [value.name for value in hybrid.load_graph(job.scratch / FILES[0]).output]
    require_outputs(outputs, held, lambda: read(job.inputs["model"]))

    folder = job.out / "quantize"
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.move(job.scratch / name, folder / name)
    _write(folder / "rules.json", [asdict(rule) for rule in log.rules(sdk.log)])
    _write(folder / "calibration.json", {"samples": len(samples), "sha256": samples.digest})
    _write(
        folder / "config.json",
        {
            "toolkit": version(),
            "network": sha256_of(job.inputs["model"]),
            "inputs": names,
            "config": config,
            "load": options.load_options(job.params),
            "step1": step1,
            "left_out": left_out,
        },
    )


def _refuse_forgotten(params: RknnParams) -> None:
    for name in FORGOTTEN:
        if params.quantize.rknn.get(name):
            raise Refusal(
                f"the SDK's hybrid_quantization_step2 forgets `{name}`",
                "such a network is quantized and built in one call",
            )


def _write(file: Path, data: Any) -> None:
    file.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n")
