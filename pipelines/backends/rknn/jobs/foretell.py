"""foretell for the rknn backend: the outputs that a quantized network would have, built or not.

params: ForetellParams. inputs: quantize, float, cut (see analyze). Data: samples/.
Nothing is compiled: our own simulation runs what step 1 wrote.

Writes out/foretold.json: {error: of the worst output, see quant.report.output_error.by_channel,
unknown: why there is none, sets: []}. With is_searched, sets has the sets of float16 layers that no
other of as few layers beats, smallest first: [{tensors, layers: their number, error}].
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pipelines.backends.rknn.analysis.mixed_errors import FedSamples, MixedErrors, evaluations
from pipelines.backends.rknn.params import ForetellParams
from pipelines.backends.rknn.sdk import hybrid
from pipelines.run.jobs.job import Job
from quant.fault import Fault
from quant.report import output_error
from quant.report.tuning import Chosen, Search, spread
from quant.simulation import step1
from quant.simulation.mixed import Mixed
from quant.simulation.network import Network
from quant.simulation.step1 import Step1
from quant.simulation.unknown import Unknown

_SETS = 6


def run(job: Job[ForetellParams]) -> None:
    try:
        found = _foretold(job)
    except Unknown as reason:
        found = _told(None, str(reason))
    except Fault as fault:
        found = _told(None, fault.what)
    job.out.mkdir(exist_ok=True)
    (job.out / "foretold.json").write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")


def _told(error: float | None, unknown: str | None = None) -> dict[str, Any]:
    return {"error": error, "unknown": unknown, "sets": []}


def _foretold(job: Job[ForetellParams]) -> dict[str, Any]:
    quantize = job.inputs["quantize"]
    told = json.loads((quantize / "config.json").read_text())
    written = step1.read(
        quantize / "model.model", quantize / "model.quantization.cfg", told["config"]
    )
    if job.params.is_searched:
        return _searched(job, written, told)
    if job.params.build.layers:
        network = Mixed(written)
        samples = FedSamples.read(job, network.graph, told)
        chosen = _named(network, job.params.build.layers)
        error = MixedErrors(network, samples, len(samples.fed), _worst)(chosen)
        return _told(error if math.isfinite(error) else None)
    whole = Network(written)
    samples = FedSamples.read(job, whole.graph, told)
    return _told(output_error.by_channel(samples.compared(map(whole, samples.fed))))


def _worst(outputs: Mapping[str, Any]) -> float:
    error = output_error.by_channel(outputs)
    return math.inf if error is None else error


def _named(network: Mixed, layers: Mapping[str, str]) -> Chosen:
    """Places of the layers that the recipe has in float16. Raises Unknown."""
    other = [dtype for dtype in layers.values() if dtype not in ("float16", "int8")]
    if other:
        raise Unknown(f"layers in {other[0]}")
    renamed = hybrid.output_names(network.graph.to_model().graph)
    half = {name for name, dtype in layers.items() if dtype == "float16"}
    chosen = []
    for place, layer in enumerate(network.layers):
        own = [name for name in layer.tensors if {name, renamed.get(name, name)} & half]
        if own and (len(own) < len(layer.tensors) or not layer.can_be_half):
            raise Unknown(f"float16 for a part of what is computed with `{own[0]}`")
        if own:
            chosen.append(place)
    return frozenset(chosen)


def _searched(job: Job[ForetellParams], written: Step1, told: Mapping[str, Any]) -> dict[str, Any]:
    network = Mixed(written)
    able = [place for place, layer in enumerate(network.layers) if layer.can_be_half]
    samples = FedSamples.read(job, network.graph, told)
    network(0, samples.fed[0], frozenset())
    errors = MixedErrors(network, samples, 1, _worst)
    search = Search(able, _count, errors, evaluations(len(able), network.elements))
    few = [one for one in search.run() if 0 < len(one.layers) < len(able)]
    whole = MixedErrors(network, samples, len(samples.fed), _worst)
    sets = [
        {
            "tensors": [name for place in sorted(one.layers)
                        for name in network.layers[place].tensors],
            "layers": len(one.layers),
            "error": error,
        }
        for one in spread(few, _SETS)
        if math.isfinite(error := whole(one.layers))
    ]  # fmt: skip
    return {**_told(_finite(whole(frozenset()))), "sets": sets}


def _count(chosen: Chosen) -> float:
    return float(len(chosen))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
