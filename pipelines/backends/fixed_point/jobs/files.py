"""The files of a network of whole numbers, and the proof that they give its very numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pipelines.backends.fixed_point.jobs.prepared import Prepared
from pipelines.backends.fixed_point.recipe.options import FixedPoint
from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.compare.jobs.float_network import expose
from quant.execution.run import FloatRun
from quant.fixed_point.network import reference, whole_numbers
from quant.fixed_point.network.network import FloatNode, Network, integer_names
from quant.fixed_point.network.options import Options
from quant.fixed_point.onnx.to_onnx import to_onnx
from quant.fixed_point.tflite import whole_numbers as tflite_numbers
from quant.fixed_point.tflite.run import TFLiteRun
from quant.fixed_point.tflite.to_tflite import to_tflite

Array = NDArray[Any]
Arrays = Mapping[str, Array]
_DEFECT = "a defect of npumake: please report it, with the model"


_OF_LOWERING = ("bias_mode", "rounding", "shifts", "weights", "unsupported", "activations")


def options_of(told: FixedPoint) -> Options:
    """What lowering reads of it."""
    return Options(told.input_scale, **{key: getattr(told, key) for key in _OF_LOWERING})


@dataclass(frozen=True)
class Files:
    """network: what the files compute. tflite_file: None where operators were left in float."""

    network: Network
    onnx_file: bytes
    tflite_file: bytes | None

    @classmethod
    def of(cls, prepared: Prepared, options: Options, name: str) -> Files:
        """Raises Fault on operators without an integer form, unless the options leave them."""
        network = prepared.lowered(options)
        model = to_onnx(network, name)
        if any(isinstance(one, FloatNode) for one in network.operations):
            return cls(network, model.SerializeToString(), None)
        tflite_file = to_tflite(network, name)
        _require_whole("NAME_quant.onnx", whole_numbers.fractional_parameters(model))
        _require_whole("NAME_quant.tflite", tflite_numbers.fractional_parameters(tflite_file))
        return cls(network, model.SerializeToString(), tflite_file)

    def model(self) -> onnx.ModelProto:
        return onnx.load_model_from_string(self.onnx_file)

    def by_kind(self) -> dict[str, bytes]:
        """Ending of the file's name -> its content."""
        files = {"onnx": self.onnx_file, "tflite": self.tflite_file}
        return {kind: data for kind, data in files.items() if data is not None}


def _require_whole(file: str, fractional: Sequence[str]) -> None:
    if fractional:
        raise Refusal(f"{file}: parameters are no whole numbers: {', '.join(fractional)}", _DEFECT)


class Proof:
    """Compares the files with the network itself, sample by sample.

    values: how many integers were compared so far: every tensor of the ONNX file in onnxruntime,
    every output of the TFLite file in LiteRT, with XNNPACK and without.
    """

    def __init__(self, files: Files) -> None:
        self.values = 0
        self._network = files.network
        model = files.model()
        made = {name for node in model.graph.node for name in node.output}
        names = integer_names(files.network)
        self._inside = {name: codes for name, codes in names.items() if codes in made}
        expose(model.graph, list(self._inside.values()))
        self._onnx = FloatRun(model)
        self._tflite = {
            how: TFLiteRun(files.tflite_file, has_delegate)
            for how, has_delegate in (("XNNPACK", True), ("no delegate", False))
            if files.tflite_file is not None
        }

    def check(self, feeds: Arrays) -> None:
        """feeds: the network's inputs. Raises Refusal on the first integer that differs."""
        expected = reference.run(self._network, feeds)
        outputs = dict(self._outputs(expected))
        found = self._onnx(feeds)
        for name, codes in self._inside.items():
            self._same(f"NAME_quant.onnx: tensor `{codes}`", expected[name], found[codes])
        for name, reals in outputs.items():
            self._same(f"NAME_quant.onnx: output `{name}`", reals, found[name])
        for how, run in self._tflite.items():
            made = run(feeds)
            for name, reals in outputs.items():
                self._same(f"NAME_quant.tflite, {how}: output `{name}`", reals, made[name])

    def _outputs(self, tensors: Arrays) -> Iterator[tuple[str, Array]]:
        """Outputs as the files give them: integers times one float32."""
        for output in self._network.outputs:
            scale = self._network.tensors[output.tensor].scale
            assert scale is not None
            factor = np.float32(1 / scale)
            yield output.name, tensors[output.tensor].astype(np.float32) * factor

    def _same(self, what: str, expected: Array, found: Array) -> None:
        if expected.shape != found.shape or not np.array_equal(expected, found):
            count = int((expected != found).sum()) if expected.shape == found.shape else found.size
            raise Refusal(f"{what} differs from the integers in {count} places", _DEFECT)
        self.values += expected.size


def prove(files: Files, samples: Iterable[Arrays]) -> int:
    """How many integers were compared, all equal. Raises Refusal where one differs."""
    proof = Proof(files)
    for feeds in samples:
        proof.check(feeds)
    return proof.values
