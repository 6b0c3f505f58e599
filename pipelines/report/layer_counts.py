"""Compiled layers in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


def layer_counts(layers: Sequence[Mapping[str, Any]]) -> str:
    """`60: 48 NPU, 12 CPU (10 Reshape, 2 Softmax)`, inputs and outputs left out."""
    own = [one for one in layers if one["op"] not in ("InputOperator", "OutputOperator")]
    targets = Counter(one["target"] for one in own)
    told = ", ".join(f"{count} {name}" for name, count in sorted(targets.items(), reverse=True))
    on_cpu = Counter(one["op"] for one in own if one["target"] == "CPU")
    operators = ", ".join(f"{count} {name}" for name, count in on_cpu.most_common())
    return f"{len(own)}: {told}" + (f" ({operators})" if operators else "")
