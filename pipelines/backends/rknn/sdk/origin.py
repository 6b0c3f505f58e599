"""Where an .rknn comes from: a digest of all that it was made from, as its custom string.

The SDK writes `custom_string` of RKNN.config into the file, and refuses a step 2 whose config is
not step 1's. So calibration is given a placeholder, and build writes the digest over it: the digest
is of what went into the compiler, never of what came out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.backends.rknn.file.origin_text import PLACEHOLDER, digest_of, text_of
from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.sdk import options
from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs import prepared_samples
from quant.rknn.texts import with_custom_string
from quant.sha256 import sha256_of

OPTION, CONTROL = "custom_string", "compiler_control_file"


def with_placeholder(config: Mapping[str, Any]) -> dict[str, Any]:
    """RKNN.config's arguments, with a placeholder where the recipe has no text of its own."""
    given = config.get(OPTION)
    return {**config, OPTION: PLACEHOLDER if given is None else given}


def of(
    job: Job[RknnParams], toolkit: str, config: Mapping[str, Any], load: Mapping[str, Any]
) -> dict[str, Any] | None:
    """{digest, of}: the digest, and what it is of. None where the recipe has a text of its own.

    config, load: arguments that were used.
    """
    if config[OPTION] != PLACEHOLDER:
        return None
    found = _facts(job, toolkit, config, load)
    return {"digest": digest_of(found), "of": found}


def stamped(data: bytes, origin: Mapping[str, Any] | None) -> bytes:
    """An .rknn that carries the digest of `of`."""
    return data if origin is None else with_custom_string(data, text_of(origin["digest"]))


def _facts(
    job: Job[RknnParams], toolkit: str, config: Mapping[str, Any], load: Mapping[str, Any]
) -> dict[str, Any]:
    """All that decides what the compiler makes.

    network, calibration: SHA-256 of the file that the SDK loaded and of the samples' arrays.
    """
    control = job.inputs.get(CONTROL)
    ignored = {OPTION, *((CONTROL,) if control else ())}
    return {
        **(_of_step1(job.inputs["quantize"]) if "quantize" in job.inputs else _of_one_call(job)),
        "toolkit": toolkit,
        "config": {name: value for name, value in config.items() if name not in ignored},
        CONTROL: None if control is None else sha256_of(control),
        "load": dict(load),
        "layers": dict(job.params.build.layers),
    }


def _of_step1(folder: Path) -> dict[str, Any]:
    told = json.loads((folder / "config.json").read_text())
    calibration = json.loads((folder / "calibration.json").read_text())["sha256"]
    names = ("network", "inputs", "step1")
    return {"calibration": calibration, **{name: told[name] for name in names}}


def _of_one_call(job: Job[RknnParams]) -> dict[str, Any]:
    names = options.input_names(job.params, job.inputs["model"])
    calibration = None
    if options.is_quantized(job.params):
        calibration = prepared_samples.read(job, names).digest
    return {
        "calibration": calibration,
        "network": sha256_of(job.inputs["model"]),
        "inputs": names,
        "build": options.build_options(job.params, dataset=None),
    }
