"""What `divide_outputs` has divided, read off the tail that multiplies it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

FACTORS = ".factors"  # ends the name of the constant that the tail multiplies by


def read(tail: onnx.ModelProto) -> dict[str, dict[str, Any]]:
    """Output of the cut network -> {output, axis, factors: [{first, last, factor}]}.

    output: the former one. first, last: places along `axis`; all null where the whole output is
    divided. Empty for a tail of another rule.
    """
    held = {one.name: one for one in tail.graph.initializer if one.name.endswith(FACTORS)}
    return {
        node.input[0]: {
            "output": node.output[0],
            **_along(np.asarray(numpy_helper.to_array(held[node.input[1]]))),
        }
        for node in tail.graph.node
        if len(node.input) == 2 and node.input[1] in held
    }


def _along(factors: np.ndarray[Any, Any]) -> dict[str, Any]:
    if factors.size == 1:
        whole = {"first": None, "last": None, "factor": float(factors.reshape(-1)[0])}
        return {"axis": None, "factors": [whole]}
    return {"axis": int(np.argmax(factors.shape)), "factors": list(_runs(factors.reshape(-1)))}


def _runs(factors: np.ndarray[Any, Any]) -> Iterator[dict[str, Any]]:
    first = 0
    for factor, group in groupby(factors.tolist()):
        last = first + len(list(group)) - 1
        if factor != 1:
            yield {"first": first, "last": last, "factor": float(factor)}
        first = last + 1


def sentences(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """For people: what to multiply. found: as `read` gives it."""
    for name, told in found.items():
        for one in told["factors"]:
            where = ""
            if told["axis"] is not None:
                where = f", places {one['first']} to {one['last']} along axis {told['axis']},"
            yield (
                f"`{name}` is `{told['output']}`{where} divided by {one['factor']:g}: the program "
                "multiplies that again"
            )
