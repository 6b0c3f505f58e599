"""A line of YAML for the recipe, to be copied. Standard library alone: reports print it too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def recipe_line(target: str, options: Mapping[str, Any]) -> str:
    """`targets: {rk3588: {quantize: {rknn: {disable_rules: [a, b]}}}}`: options of the SDK."""
    told = ", ".join(f"{name}: {_flow(value)}" for name, value in options.items())
    return f"targets: {{{target}: {{quantize: {{rknn: {{{told}}}}}}}}}"


def _flow(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_flow, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
