"""quantize for the fixed_point backend: the graph made ready, and its ranges (toolchain core).

params: QuantizeParams. inputs: model, the simplified graph.
Data: samples/, as stages.samples leaves it, where shifts are `calibrated`.

Writes out/quantize/: model.onnx (BatchNorm folded, activations recognised, channels equalized),
ranges.json (float tensor -> quant.fixed_point.calibration.ranges.Range, over all samples) and,
where weights do not go to nearest, taps.npz and samples.npz (see
quant.fixed_point.calibration.tuning).
"""

from __future__ import annotations

from pipelines.backends.fixed_point.jobs.params import QuantizeParams
from pipelines.backends.fixed_point.jobs.prepared import Prepared
from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs.calibration_inputs import all_inputs
from quant.graph.file import read
from quant.graph.types import input_types


def run(job: Job[QuantizeParams]) -> None:
    model = read(job.inputs["model"])
    samples = all_inputs(job, input_types(model))
    Prepared.of(model, job.params, samples).save(job.out / "quantize")
