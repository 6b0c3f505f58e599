"""build for the rknn backend: the SDK's hybrid_quantization_step2, or `build` (an rknn toolchain).

params: RknnParams.
inputs: quantize (what quantize made), or model for what needs one call: quantize.dtype
float16 or prequantized, build.auto_hybrid, quantize.algorithm gdq, dynamic_input, inputs_yuv_fmt.
The last four take calibration data from samples/.

Writes out/model.rknn (the same bytes for the same input, see quant.rknn.leaks; it says where it
comes from, see pipelines.backends.rknn.sdk.origin), out/build.json (see
quant.report.build_json) and, for build.cpp_gen_cfg, the folder out/cpp with
the SDK's C++ program. `remove_weight` makes no second file: model.rknn itself is then the one
without weights, to run beside that of a target with them.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.backends.rknn.analysis import as_built, build_report
from pipelines.backends.rknn.file import compiled_graph
from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.sdk import options, origin
from pipelines.backends.rknn.sdk.api import Sdk, version
from pipelines.backends.rknn.sdk.compile import compile_network
from pipelines.backends.rknn.sdk.refusals.lost_ends import require_inputs, require_outputs
from pipelines.backends.rknn.sdk.refusals.patient import patient
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.memory import keep_freed, settle
from quant.graph.file import read
from quant.report import build_json
from quant.rknn.leaks import cleared


def run(job: Job[RknnParams]) -> None:
    keep_freed()
    settle(is_settled=True)  # the SDK writes heap that it never set into the file
    job.out.mkdir(exist_ok=True)
    model = job.out / "model.rknn"
    compiled = compile_network(job)
    compiled.sdk.export(model)
    if "model" in job.inputs:  # step 1 has looked at its own
        _require_ends(job, model)
    found = origin.of(job, version(), compiled.config, compiled.load)
    data = cleared(model.read_bytes(), job.params.platform)
    model.write_bytes(origin.stamped(data, found))
    report = build_report.make(compiled, model, job.params.build.layers, found)
    as_built.keep(job, compiled, model)
    Sdk(verbose=False).load_rknn(model)
    if job.params.build.cpp_gen_cfg:
        compiled.sdk.write_demo(job.out / "cpp")
    (job.out / "build.json").write_text(build_json.to_json(report))


def _require_ends(job: Job[RknnParams], made: Path) -> None:
    """Raise Refusal where the SDK left inputs or outputs out."""
    file = compiled_graph.read(made)
    inputs, outputs = options.end_names(job.params, job.inputs["model"])
    who = patient(job)
    require_inputs(inputs, file.inputs, lambda: who([]).idle_inputs())
    require_outputs(outputs, file.outputs, lambda: read(job.inputs["model"]))
