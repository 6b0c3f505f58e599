"""Trying again without the SDK's graph rules that fail, and what was left out for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from pipelines.backends.rknn.sdk.refusals.diagnosis import Patient, explained, node_of
from pipelines.backends.rknn.sdk.refusals.refusal import SdkRefusal, broken_rule
from pipelines.run.jobs.refusal import Refusal

MOST = 5  # a network that needs more is not what the SDK was made for

_RULES = "disable_rules"
T = TypeVar("T")


@dataclass(frozen=True)
class LeftOut:
    """A rule that failed. node: the user's, as `MatMul `scores``. error: what was raised."""

    rule: str
    node: str
    error: str


def without(config: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The config that leaves out these rules too. found: rows of LeftOut."""
    rules = list(config.get(_RULES) or ())
    rules += [row["rule"] for row in found if row["rule"] not in rules]
    return {**config, _RULES: rules} if found else dict(config)


def tried_without(
    config: Mapping[str, Any],
    attempt: Callable[[dict[str, Any]], T],
    patient: Callable[[list[str]], Patient],
) -> tuple[T, list[dict[str, Any]]]:
    """What `attempt` gives with the config, or with that of fewer rules; and what was left out.

    patient: the network, and the rules that are left out by then. Raises Refusal where no rule is
    at fault, or another.
    """
    found: list[dict[str, Any]] = []
    while True:
        now = without(config, found)
        try:
            return attempt(now), found
        except SdkRefusal as refusal:
            rules = now.get(_RULES) or []
            rule, who = broken_rule(refusal.printed), patient(rules)
            if rule is None or rule.name in rules or len(found) == MOST:
                raise _after(explained(refusal, who), found) from refusal
            found.append(asdict(LeftOut(rule.name, node_of(rule, refusal, who), rule.error)))
        print(f"again without the rule {rule.name}, which failed at {found[-1]['node']}")


def _after(refusal: Refusal, found: Sequence[Mapping[str, Any]]) -> Refusal:
    """The refusal, with the rules that had been left out before."""
    if not found:
        return refusal
    told = "; ".join(f"`{row['rule']}`, which fails at {row['node']}" for row in found)
    return Refusal(f"{refusal.what}\nwithout its rule {told}", refusal.advice, refusal.cure)
