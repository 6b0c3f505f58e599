"""The rewrite rules that a recipe can name. To add one: a file here, and a line in this table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quant.rewrites.fold_batch_norm import FoldBatchNorm
from quant.rewrites.rule import Rule

RULES: Mapping[str, Rule[Any]] = {
    rule.name: rule
    for rule in (
        FoldBatchNorm(),
    )
}  # fmt: skip
