"""tune for the rknn backend: which layers to compute in float16 (an rknn toolchain).

params: TuneParams; a cosine is taken from 1. inputs: quantize, float, cut (see analyze),
int8.json, half.json and wide.json (build.json of the network as it is, with every layer that can
be in float16, and in int16, where that builds; half is int16 on a platform without float16), and
seed/NAME (build.json of others, whose float layers are tried too). Data: samples/.

Sets of layers are tried in our own simulation, see quant.report.tuning; their cycles are summed
from the two builds. Writes out/tune.json: {samples, tried, exhaustive, layers: [{tensors,
operators, int8, half, wide: cycles}], front: [{layers: places in `layers`, cycles, error}]}, the
front cheapest first; wide is null where no int16 build is known.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.backends.rknn.analysis.mixed_errors import (
    LEAST,
    FedSamples,
    MixedErrors,
    evaluations,
)
from pipelines.backends.rknn.params import TuneParams
from pipelines.backends.rknn.sdk import hybrid
from pipelines.files.engine import PREFIX
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.compare.jobs.comparison import worst_output
from quant.report import build_json
from quant.report.tuning import Chosen, Point, Search, spread
from quant.report.tuning import front as front_of
from quant.simulation import step1
from quant.simulation.mixed import Mixed
from quant.simulation.unknown import Unknown

CONFIRMED = 20  # sets that are held against all samples, where the search looks at some


def run(job: Job[TuneParams]) -> None:
    began = time.process_time()
    try:
        found = _tuned(job)
    except Unknown as reason:
        raise Refusal(
            f"our simulation does not know {reason}, so no layers can be tried in it",
            "`build: {auto_hybrid: true}` lets the SDK choose; "
            f"{PREFIX}docs/tune.md tells how by hand",
        ) from reason
    print(f"{found['tried']} sets in {time.process_time() - began:.1f} CPU s")
    job.out.mkdir(exist_ok=True)
    (job.out / "tune.json").write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")


def _tuned(job: Job[TuneParams]) -> dict[str, Any]:
    quantize = job.inputs["quantize"]
    told = json.loads((quantize / "config.json").read_text())
    written = step1.read(
        quantize / "model.model", quantize / "model.quantization.cfg", told["config"]
    )
    network = Mixed(written)
    able = [place for place, layer in enumerate(network.layers) if layer.can_be_half]
    costs = Costs.read(job, network, able, quantize)
    samples = FedSamples.read(job, network.graph, told)
    network(0, samples.fed[0], frozenset())
    tries = evaluations(len(able), network.elements)
    kept = max(1, min(len(samples.fed), tries // (LEAST * max(1, len(able)))))
    judged = _Worst(job.params.by)
    errors = MixedErrors(network, samples, kept, judged)
    search = Search(able, costs.of, errors, max(tries // kept, LEAST * len(able)))
    found = search.run(costs.seeds)
    all_errors = MixedErrors(network, samples, len(samples.fed), judged)
    front = front_of(
        Point(one.layers, one.cost, all_errors(one.layers)) for one in spread(found, CONFIRMED)
    )
    place_of = {place: number for number, place in enumerate(able)}
    return {
        "samples": kept,
        "tried": len(search.tried),
        "exhaustive": search.is_exhaustive,
        "layers": [
            {
                "tensors": list(network.layers[place].tensors),
                "operators": [node.op_type for node in network.layers[place].nodes],
                "int8": costs.int8[place],
                "half": costs.half[place],
                "wide": costs.wide.get(place),
            }
            for place in able
        ],
        "front": [
            {
                "layers": sorted(place_of[place] for place in point.layers),
                "cycles": round(point.cost),
                "error": point.error if math.isfinite(point.error) else None,
            }
            for point in front
        ],
    }


@dataclass(frozen=True)
class Costs:
    """int8, half, wide: a layer's cycles in each form. base: of the whole network in int8."""

    base: float
    int8: Mapping[int, int]
    half: Mapping[int, int]
    wide: Mapping[int, int]
    seeds: Sequence[Chosen]

    @classmethod
    def read(
        cls, job: Job[TuneParams], network: Mixed, able: Sequence[int], quantize: Path
    ) -> Costs:
        renamed = hybrid.output_names(hybrid.load_graph(quantize / "model.model"))
        names = {
            place: {renamed.get(name, name) for name in network.layers[place].tensors}
            for place in able
        }
        forms = {
            form: _cycles(job.inputs[f"{form}.json"])
            for form in ("int8", "half", "wide")
            if f"{form}.json" in job.inputs
        }
        cycles = {
            form: {place: sum(found.get(name, 0) for name in names[place]) for place in able}
            for form, found in forms.items()
        }
        return cls(
            sum(forms["int8"].values()),
            cycles["int8"],
            cycles["half"],
            cycles.get("wide", {}),
            [
                frozenset(place for place in able if names[place] & _float_tensors(file))
                for name, file in sorted(job.inputs.items())
                if name.startswith("seed/")
            ],
        )

    def of(self, chosen: Chosen) -> float:
        return self.base + sum(self.half[place] - self.int8[place] for place in chosen)


def _cycles(file: Path) -> dict[str, int]:
    """First tensor that a compiled layer makes -> the SDK's estimate of the layer."""
    made = build_json.read(file).made
    return {outputs[0]: max(0, layer["cycles_total"] or 0) for layer, outputs in made if outputs}


def _float_tensors(file: Path) -> set[str]:
    return {
        name
        for layer, outputs in build_json.read(file).made
        for name in outputs
        if "FLOAT" in (layer["dtype"] or "")
    }


@dataclass(frozen=True)
class _Worst:
    """Of the worst output: `error`, or what its cosine lacks."""

    by: str

    def __call__(self, outputs: Mapping[str, Any]) -> float:
        worst = worst_output(outputs)
        value = worst["worst_output_error" if self.by == "error" else "worst_output_cosine"]
        if value is None:
            return math.inf
        return float(value if self.by == "error" else 1 - value)
