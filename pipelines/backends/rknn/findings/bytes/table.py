"""The known causes, and what they say of a build."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.backends.rknn.findings.bytes import (
    alignment,
    cpu_layers,
    dense_grouped_convolution,
    depthwise_multiplier,
    float_fallback,
    global_pooling,
    large_pooling,
    left_out_rules,
    missing_relu,
    recurrent_layers,
    register_commands,
    sdk_errors,
    split_groups,
    unaligned_concat,
    unused_outputs,
)
from pipelines.backends.rknn.findings.finding import Found, Report


@dataclass(frozen=True)
class Suspect:
    """What may be a cause, with the parts of its docstring."""

    name: str
    find: Callable[[Any], Iterator[Found]]
    title: str
    looks: str
    why: str
    remedy: str


def described(module: Any) -> Suspect:
    """Every suspect's docstring has a title and these three paragraphs, in this order."""
    parts = [" ".join(part.split()) for part in str(module.__doc__).strip().split("\n\n")]
    title, looks, why, remedy = parts
    return Suspect(
        name=module.__name__.rpartition(".")[2],
        find=module.find,
        title=title.removesuffix("."),
        looks=_after("Looks like: ", looks),
        why=_after("Why: ", why),
        remedy=_after("Do: ", remedy),
    )


def _after(start: str, text: str) -> str:
    if not text.startswith(start):
        raise ValueError(f"a paragraph of a cause should start with `{start}`: {text}")
    return text[len(start) :]


SUSPECTS = tuple(
    described(module)
    for module in (
        unaligned_concat,
        dense_grouped_convolution,
        depthwise_multiplier,
        split_groups,
        float_fallback,
        recurrent_layers,
        register_commands,
        large_pooling,
        cpu_layers,
        sdk_errors,
        left_out_rules,
        unused_outputs,
        global_pooling,
        missing_relu,
        alignment,
    )
)


def findings(
    bytes_json: Mapping[str, Any], build_json: Mapping[str, Any], only: Collection[str] = ()
) -> list[dict[str, Any]]:
    """What all suspects come to: causes first, each group by bytes. only: these, where named."""
    report = Report(bytes_json, build_json)
    asked = [suspect for suspect in SUSPECTS if not only or suspect.name in only]
    found = [(suspect, one) for suspect in asked for one in suspect.find(report)]
    found.sort(key=lambda pair: (not pair[1].is_cause, -pair[1].size_bytes))
    return [_row(suspect, one, report) for suspect, one in found]


def _row(suspect: Suspect, found: Found, report: Report) -> dict[str, Any]:
    return {
        "name": suspect.name,
        "title": suspect.title,
        "is_cause": found.is_cause,
        "because": found.because,
        "bytes": found.size_bytes,
        "share": round(report.share(found.size_bytes), 4),
        "nodes": list(found.nodes),
        "evidence": dict(found.evidence),
        "message": found.message,
        "why": suspect.why,
        "remedy": suspect.remedy,
    }
