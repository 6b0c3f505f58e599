"""Errors add up: a layer is fine by itself, and far off in the network.

Looks like: *entire* falls where *single* holds.

Why: the layer computes rightly on what it gets, and gets what layers before it have lost. Cured at
the layers before, not at this one.

Do: look at the layers named here, which lose most by themselves: put those in float16
(`build: {layers: ...}`), or see the other findings of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import COSINE, Evidence
from pipelines.backends.rknn.findings.finding import Found, listed

PLACE = 110

_FINE = 0.999
_MOST = 3


def find(evidence: Evidence) -> Iterator[Found]:
    worst = min(evidence.layers, key=lambda one: one.entire, default=None)
    if worst is None or worst.entire >= COSINE:
        return
    if worst.single < _FINE:
        yield Found(
            f"errors do not add up to the worst layer `{worst.tensor}`: its own cosine is "
            f"{worst.single:.4f}, with those before it {worst.entire:.4f}",
            0,
            {"entire": worst.entire, "single": worst.single},
            [worst.tensor],
            is_cause=False,
        )
        return
    before = evidence.layers[: evidence.layers.index(worst)]
    poor = sorted((one for one in before if one.single < _FINE), key=lambda one: one.single)[:_MOST]
    names = [one.tensor for one in poor]
    told = f"; most is lost at {listed(names)}" if names else ", a little at each layer before it"
    yield Found(
        f"errors add up: `{worst.tensor}` has {worst.entire:.4f} in the network and "
        f"{worst.single:.4f} by itself{told}",
        0,
        {
            "entire": worst.entire,
            "single": worst.single,
            "before": {o.tensor: o.single for o in poor},
        },
        [worst.tensor, *names],
        is_cause=evidence.is_hurt,
    )
