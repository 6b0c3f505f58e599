"""Work of the SDK whose result nobody reads, left out while one of its calls runs.

See pipelines.backends.rknn.sdk.instead.replaced. Shares are of ResNet50-224 with 50 photographs,
2.5.0.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from contextlib import suppress
from io import TextIOBase
from pathlib import PurePath
from typing import Any

import onnx

from pipelines.backends.rknn.sdk.instead.parameters_writer import written
from pipelines.backends.rknn.sdk.instead.plain_copy import NotPlain, plain_copy
from pipelines.backends.rknn.sdk.instead.replaced import replaced
from quant.graph.light import large_weights, without
from quant.simulation.parameters_text import document

_MACHINE = platform.architecture()

_CHECK = re.compile(r"check\d_\w+\.onnx")


def entropy() -> Any:
    """For step 1: it sorts every tensor of every sample, to count distinct values, a third of it.

    `build` counts none, and makes the same network.
    """
    return replaced("rknn.api.quantizer", "Quantizer._cal_entropy", lambda _: lambda *_, **__: 0.0)


def texts() -> Any:
    """For accuracy_analysis: every tensor as text, 0.2 to 1 GB a sample, nine tenths of it.

    error_analysis.txt is made from the arrays.
    """
    return replaced("rknn.api.libcpputils2", "cpputils2.savetxt", lambda _: lambda *_, **__: None)


def machine() -> Any:
    """For RKNN(): it starts the program `file`, to hear of this Python what it was told before."""

    def unless_known(ask: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given, **named: ask(*given, **named) if given or named else _MACHINE

    return replaced("platform", "architecture", unless_known)


def comments() -> Any:
    """For step 2: ruamel reads the *.quantization.cfg as what is to be written again, comments too.

    A third of a small network's build, a tenth of UltraFace's.
    """

    def unless_plain(load: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(yaml: Any, stream: Any) -> Any:
            text = stream.read() if hasattr(stream, "read") else stream
            plain = document(text) if isinstance(text, str) else None
            return load(yaml, text) if plain is None else plain

        return wrapped

    return replaced("ruamel.yaml.main", "YAML.load", unless_plain)


def emitted() -> Any:
    """For step 1: ruamel writes the *.quantization.cfg, a twelfth to a tenth of it."""

    def unless_plain(dump: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(yaml: Any, data: Any, stream: Any = None, **named: Any) -> Any:
            is_usual = not named and isinstance(stream, TextIOBase) and _is_as_the_sdks(yaml)
            text = written(data) if is_usual else None
            if text is None:
                return dump(yaml, data, stream, **named)
            stream.write(text)
            return None

        return wrapped

    return replaced("ruamel.yaml.main", "YAML.dump", unless_plain)


def _is_as_the_sdks(yaml: Any) -> bool:
    """Whether it writes as ruamel's YAML() does but for an indent of 4.

    `pure` is the SDK's: there is no other writer of a round trip.
    """
    usual = type(yaml)(pure=True)
    usual.indent(mapping=4, sequence=4)
    one, other = (
        {name: value for name, value in vars(each).items() if not name.startswith("_")}
        for each in (yaml, usual)
    )
    return one == other


def copies() -> Any:
    """For step 2: it copies every scale of every channel one by one, into lists that grow.

    That is half of a build of MobileNetV2: glibc fills the free memory behind each list that grows,
    see pipelines.run.jobs.memory. Step 1 copies a node for each rule that it tries on it.
    """

    def unless_plain(deepcopy: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(data: Any, *memo: Any, **named: Any) -> Any:
            if not memo and not named:
                if type(data) is onnx.NodeProto:
                    return data.__deepcopy__({})
                if type(data) is dict:
                    with suppress(NotPlain):
                        return plain_copy(data)
            return deepcopy(data, *memo, **named)

        return wrapped

    return replaced("copy", "deepcopy", unless_plain)


def inferred_weights() -> Any:
    """For step 2: shape inference writes and reads the network with all weights, twice each.

    No shape depends on a large one. That is a tenth of a build of a large network.
    """

    def unless_small(infer: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(model: Any, *given: Any, **named: Any) -> Any:
            is_model = isinstance(model, onnx.ModelProto)
            weights = large_weights(model, are_inputs_too=True) if is_model else {}
            if not weights:
                return infer(model, *given, **named)
            made = infer(without(model, weights), *given, **named)
            del made.graph.input[len(model.graph.input) :], made.graph.initializer[:]
            made.graph.initializer.extend(model.graph.initializer)
            return made

        return wrapped

    return replaced("onnx.shape_inference", "infer_shapes", unless_small)


def checks() -> Any:
    """For `verbose`, which prints the rules that fire: graphs for reading, check0_*.onnx and on."""

    def unless_check(save: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(graph: Any, path: Any, *rest: Any, **options: Any) -> Any:
            if isinstance(path, str) and _CHECK.fullmatch(PurePath(path).name):
                return None
            return save(graph, path, *rest, **options)

        return wrapped

    return replaced("rknn.api.ir_graph", "IRGraph.save_onnx", unless_check)
