"""docs/rewrites.md, made from the rules' docstrings."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from quant.rewrites.rule import Rule
from quant.rewrites.table import ADAPTATIONS, RULES

FILE = "docs/rewrites.md"
_HEAD = """\
# The rewrites

Generated from the rules in `quant/rewrites` by `python -m quant.rewrites.document`; edit those.

A recipe names them under `simplify: rewrite`, in the order in which they apply. A rule changes all
places that its pattern fits and its check allows; `build/simplify/changes.json` lists what became
of which node, and each refusal with its reason. Every graph is compared with the one before it in
onnxruntime, on random inputs and calibration data: above the rule's bound, a share of the output's
largest magnitude (2^13 times as much for float16), simplify fails. Sizes are .rknn bytes by
rknn-toolkit2 2.5.0, int8.
"""


_BY_THEMSELVES = """\
# Rewrites that apply by themselves

These apply to every network, before a recipe's: without them rknn-toolkit2 refuses what they
change, in the versions 2.3.2 and 2.5.0. Rows of `./doit` and `build/simplify/changes.json` tell
where one did. Bounds are checked as those above.
"""


def document() -> str:
    """The file's content."""
    named = [_described(rule) for rule in RULES.values()]
    return "\n".join([_HEAD, *named, _BY_THEMSELVES, *map(_described, ADAPTATIONS.values())])


def _described(rule: Rule[Any]) -> str:
    bound = f"at most {rule.rounding:.1e}" if rule.rounding else "none, bit for bit"
    return f"## {rule.name}\n\nDifference: {bound}.\n\n{inspect.cleandoc(rule.__doc__ or '')}\n"


def main() -> None:
    (Path(__file__).parents[2] / FILE).write_text(document())
    print(f"wrote {FILE}")


if __name__ == "__main__":
    main()
