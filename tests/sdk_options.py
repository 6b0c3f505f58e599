"""What the real SDK accepts. Runs in a toolchain's Python; test_recipe.py reads what it prints."""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import os
import re
import sys
from typing import Any

LOADERS = ("load_onnx", "load_pytorch", "load_tflite")


def main(configs: list[dict[str, Any]]) -> None:
    """Print a line of JSON. configs: options of RKNN.config, each a verdict."""
    out = os.dup(1)
    os.dup2(2, 1)  # the SDK's native parts print to file descriptor 1
    from rknn.api import RKNN, graph_optimizer

    rules = (graph_optimizer.convert_rules, graph_optimizer.fuse_rules)
    answer = {
        "config": parameters(RKNN.config),
        "accepts": accepted_options(RKNN),
        "loaders": {name: sorted(parameters(getattr(RKNN, name))) for name in LOADERS},
        "hybrid": parameters(RKNN.hybrid_quantization_step1),
        "rules": sorted(
            {name for table in (*rules, graph_optimizer.hardware_rules) for name in table}
        ),
        "verdicts": [verdict(RKNN, options) for options in configs],
    }
    os.write(out, json.dumps(answer).encode() + b"\n")


def parameters(function: Any) -> dict[str, Any]:
    """Parameter -> default, but `self`, `model` and `**kwargs`."""
    listed = inspect.signature(function).parameters.values()
    return {
        p.name: None if p.default is p.empty else p.default
        for p in listed
        if p.name not in ("self", "model") and p.kind is not p.VAR_KEYWORD
    }


def accepted_options(rknn: Any) -> list[str]:
    """Every option of config, hidden ones too: the error for an unknown one lists them."""
    error = verdict(rknn, {"target_platform": "rk3588", "no_such_option": 1})
    found = re.search(r"Valid input is (\[.*?\])", error, re.DOTALL)
    assert found, error
    listed = ast.literal_eval(found[1])
    assert isinstance(listed, list)
    return listed


def verdict(rknn: Any, options: dict[str, Any]) -> str:
    """Empty if config accepts the options, else its error."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            return "" if rknn().config(**options) == 0 else "config returned -1"
        except Exception as error:  # the SDK raises whatever it stumbles over
            return f"{type(error).__name__}: {error}"
