"""quantize for the backend qdq: the range of every float tensor (toolchain core).

params: QdqParams. inputs: model, the simplified graph.
Data: samples/, as stages.samples leaves it.

Writes out/quantize/ranges.json: {"options": as given, "ranges": {tensor: [lowest, highest]}};
tensors that hold NaN or infinities are left out.
"""

from __future__ import annotations

import json

from pipelines.backends.qdq.jobs.params import QdqParams
from pipelines.backends.qdq.jobs.ranges import Calibration, observe
from pipelines.backends.qdq.recipe.options import OF_QUANTIZE
from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs.calibration_inputs import all_inputs
from quant.graph.file import read
from quant.graph.types import input_types


def run(job: Job[QdqParams]) -> None:
    model = read(job.inputs["model"])
    options, types = job.params.options, input_types(model)
    calibration = Calibration(options.calibrate_method, options.percentile, options.num_bins)
    ranges = observe(model, calibration, lambda: all_inputs(job, types))
    folder = job.out / "quantize"
    folder.mkdir()
    told = {"options": {key: getattr(options, key) for key in OF_QUANTIZE}, "ranges": ranges}
    text = json.dumps(told, indent=1, allow_nan=False)
    (folder / "ranges.json").write_text(text + "\n")
    print(f"ranges of {len(ranges)} tensors")
