"""The public simplifiers, and which of them a graph gets: a good one, whatever they make of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import cast

import onnx

from pipelines.run.jobs.refusal import Refusal
from quant.fault import Fault
from quant.graph.file import read, save
from quant.graph.light import put_back, unfolded_weights, without
from quant.graph.operators import nodes
from quant.nearest import did_you_mean

AUTO = "auto"
OTHER_TOOL = "try another `simplify.tool`: onnxsim, onnxslim or none"
# onnxsim 0.7.3 folds arithmetic on shapes node by node: over 240 CPU s for a network of 5,604 nodes
# with it, onnxslim 16 s. For a chain of 5,300 nodes Conv, Sigmoid it took 2.3 s, onnxslim 4.9 s.
_MOST_NODES = 3_000
_FEW_SHAPES = 0.01  # share of nodes that ask for a shape
_IN_TURN = ("onnxsim", "onnxslim", "none")


@dataclass(frozen=True)
class Simplified:
    """tool: with its version. notes: which tool was passed over, and why."""

    model: onnx.ModelProto
    tool: str
    notes: tuple[str, ...] = ()


def simplified(
    scratch: Path,
    model: onnx.ModelProto,
    name: str,
    accept: Callable[[onnx.ModelProto], onnx.ModelProto],
) -> Simplified:
    """The model as the simplifier `name` leaves it; `auto` takes the first whose result is good.

    scratch: folder for files in between. accept: returns the result, finished, or raises Fault
    where it is not good. Raises Refusal where a tool that was asked for fails, Fault where its
    result is not good.
    """
    if name != AUTO:
        return Simplified(accept(_made(name, scratch, model)), _with_version(name))
    order, notes = _order([node.op_type for node in nodes(model.graph)])
    for tool in order[:-1]:
        try:
            return Simplified(
                accept(_made(tool, scratch, model)), _with_version(tool), tuple(notes)
            )
        except Fault as error:
            notes.append(f"{_with_version(tool)} is passed over: {error.what}")
    return Simplified(accept(model), order[-1], tuple(notes))


def _order(operators: Sequence[str]) -> tuple[Sequence[str], list[str]]:
    """Which tools to try for a graph of these operators, and why not the first."""
    count, shapes = len(operators), operators.count("Shape")
    if count <= _MOST_NODES or shapes < _FEW_SHAPES * count:
        return _IN_TURN, []
    return _IN_TURN[1:], [
        f"{_with_version('onnxsim')} is passed over: of {count:,} nodes {shapes:,} ask for a "
        f"shape, and above {_MOST_NODES:,} it takes minutes for that"
    ]


def _made(name: str, scratch: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """The result of the simplifier of that name, its errors as Refusals."""
    if name not in _TOOLS:
        raise Refusal(f"no simplifier `{name}`", did_you_mean(name, _TOOLS, "known ones"))
    try:
        return _TOOLS[name](scratch, model)
    except Exception as error:  # both tools let C++ and assertion errors through
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Refusal(f"{_with_version(name)} failed: {first}", OTHER_TOOL) from error


def _onnxsim(scratch: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """In a process of its own: it is C++, and where that dies the job goes on."""
    place = scratch / "onnxsim.onnx"
    # It writes and parses the graph time and again; what it doesn't compute with stays here.
    weights = unfolded_weights(model)
    light = without(model, weights)
    process = os.fork()
    if process == 0:
        _child(light, place)
    status = os.waitpid(process, 0)[1]
    if os.WIFSIGNALED(status):
        raise RuntimeError(f"it died of signal {os.WTERMSIG(status)}")
    told = place.with_suffix(".txt")
    if told.exists():
        raise RuntimeError(told.read_text(encoding="utf-8"))
    made = read(place)
    place.unlink()
    put_back(made, weights, [tensor.name for tensor in model.graph.initializer])
    return made


def _child(model: onnx.ModelProto, place: Path) -> None:
    """Leave the simplified model at `place`, or why there is none beside it. Never returns."""
    try:
        import onnxsim  # seconds to import, and not every recipe uses it

        # Batch normalization is folded by the rule of that name, in float64 and on record, or not
        # at all.
        made, _ = onnxsim.simplify(model, skipped_optimizers=["fuse_bn_into_conv"])
        save(made, place)
    except BaseException as error:
        place.with_suffix(".txt").write_text(str(error) or type(error).__name__, encoding="utf-8")
    finally:
        os._exit(0)


def _onnxslim(_: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    import onnxslim

    skipped = ["FusionConvBN", "FusionConvTransposeBN"]
    return cast(onnx.ModelProto, onnxslim.slim(model, skip_fusion_patterns=skipped))


def _none(_: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    return model


_TOOLS: Mapping[str, Callable[[Path, onnx.ModelProto], onnx.ModelProto]] = {
    "onnxsim": _onnxsim,
    "onnxslim": _onnxslim,
    "none": _none,
}


def _with_version(name: str) -> str:
    return name if name == "none" else f"{name} {version(name)}"
