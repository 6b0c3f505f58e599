"""Every layer of every sample: our own simulation where it is exact, else the SDK's analysis."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.backends.rknn.analysis import end_to_end, error_analysis, simulation
from pipelines.backends.rknn.analysis.end_to_end import Array, FloatNetwork, Outputs, Simulator
from pipelines.backends.rknn.analysis.error_analysis import Row
from pipelines.backends.rknn.analysis.simulation import Analysis, Simulation
from pipelines.backends.rknn.file.dtypes import PREQUANTIZED
from pipelines.backends.rknn.params import AnalyzeParams
from pipelines.backends.rknn.sdk import samples as sdk_samples
from pipelines.backends.rknn.sdk.api import Sdk
from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs.prepared_samples import PreparedSamples
from quant.simulation.unknown import Unknown

SNAPSHOT = "snapshot"  # folder that the SDK makes
Run = Callable[[Sequence[Array]], Outputs]


@dataclass(frozen=True)
class Analyses:
    """rows: of each sample. outputs, findings: of end_to_end.compare. run: outputs of a sample.

    simulation: as metrics.json has it. text: error_analysis.txt. spans: of float tensors, where our
    simulation ran.
    """

    rows: Sequence[Sequence[Row]]
    outputs: Mapping[str, Any]
    findings: list[str]
    run: Run
    simulation: Mapping[str, Any]
    text: str
    spans: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)


def analyze(
    job: Job[AnalyzeParams],
    sdk: Sdk,
    simulator: Simulator,
    samples: PreparedSamples,
    network: FloatNetwork | None,
) -> Analyses:
    """network: the float one, None where there is none to compare outputs with."""
    ours = _ours(job, simulator, samples)
    is_asked = isinstance(ours, str) or job.params.sdk_analysis
    texts = _texts(job, sdk, samples) if is_asked else []
    if isinstance(ours, str):
        read = [error_analysis.read(text) for text in texts]
        outputs, findings = _compared(network, samples, map(simulator, samples.arrays()))
        by: dict[str, Any] = {"by": "rknn-toolkit2", "reason": ours}
        return Analyses(read, outputs, findings, simulator, by, _concatenated(job, texts))
    run, first = ours
    rows: list[list[Row]] = []
    made = _kept(_all(run, first, samples), rows)
    outputs, findings = _compared(network, samples, made)
    by = {"by": "npumake", "reason": None}
    text = _concatenated(job, texts)
    return Analyses(rows, outputs, findings, run, by, text, run.spans.told())


def _ours(
    job: Job[AnalyzeParams], simulator: Simulator, samples: PreparedSamples
) -> tuple[Simulation, Analysis] | str:
    """Our simulation with the first sample's analysis, or why the SDK's must run."""
    sample = next(samples.arrays())
    try:
        return simulation.opened(job.inputs.get("quantize"), job.params, simulator, sample)
    except Unknown as reason:
        return str(reason)


def _all(run: Simulation, first: Analysis, samples: PreparedSamples) -> Iterator[Analysis]:
    rest = samples.arrays()
    next(rest)
    yield first
    for arrays in rest:
        yield run.analysis(arrays)


def _kept(analyses: Iterator[Analysis], rows: list[list[Row]]) -> Iterator[Outputs]:
    """The outputs, one sample after the other; their rows are added to `rows`."""
    for one in analyses:
        rows.append(one.rows)
        yield one.outputs


def _compared(
    network: FloatNetwork | None, samples: PreparedSamples, made: Iterator[Outputs]
) -> tuple[Mapping[str, Any], list[str]]:
    if network is None:
        for _ in made:  # its rows are wanted
            pass
        return {}, []
    feeds = samples.arrays()
    return end_to_end.compare(
        (network(samples.inputs, arrays), outputs)
        for arrays, outputs in zip(feeds, made, strict=True)
    )


def _texts(job: Job[AnalyzeParams], sdk: Sdk, samples: PreparedSamples) -> list[str]:
    """error_analysis.txt of each sample: the SDK silently analyzes the first it is given alone.

    None for a prequantized source: the SDK refuses those.
    """
    if job.params.quantize.dtype == PREQUANTIZED:
        return []
    texts, snapshot = [], job.scratch / SNAPSHOT
    for row in sdk_samples.for_simulator(samples, job).rows:
        texts.append(sdk.accuracy_analysis([str(file) for file in row], snapshot))
        shutil.rmtree(snapshot)
    return texts


def _concatenated(job: Job[AnalyzeParams], texts: Sequence[str]) -> str:
    if texts:
        return "".join(f"===== sample {i} =====\n{text}\n" for i, text in enumerate(texts))
    if job.params.quantize.dtype == PREQUANTIZED:
        return "rknn-toolkit2 compares no layers of a network that was quantized before.\n"
    return (
        "npumake's own simulation made this report: its outputs are rknn-toolkit2's, bit for bit.\n"
        "`analyze: {sdk: true}` in the recipe runs rknn-toolkit2's accuracy_analysis too.\n"
    )
