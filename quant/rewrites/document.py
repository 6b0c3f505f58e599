"""docs/rewrites.md, made from the rules' docstrings."""

from __future__ import annotations

import inspect
from pathlib import Path

from quant.rewrites import RULES

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


def document() -> str:
    """The file's content."""
    parts = [_HEAD]
    for name, rule in RULES.items():
        bound = f"at most {rule.rounding:.1e}" if rule.rounding else "none, bit for bit"
        parts.append(
            f"## {name}\n\nDifference: {bound}.\n\n{inspect.cleandoc(rule.__doc__ or '')}\n"
        )
    return "\n".join(parts)


def main() -> None:
    (Path(__file__).parents[2] / FILE).write_text(document())
    print(f"wrote {FILE}")


if __name__ == "__main__":
    main()
