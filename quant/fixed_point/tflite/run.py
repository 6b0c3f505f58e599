"""Running a written TFLite file, with and without XNNPACK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from quant.fault import Fault
from quant.fixed_point.tflite.emission import FIRST, LAST


class TFLiteRun:
    """A file by `to_tflite` in LiteRT, its inputs and outputs channels first, as in ONNX.

    has_delegates: with XNNPACK, which LiteRT uses by default. Raises Fault where LiteRT has no
    kernel for an operator's shapes.
    """

    def __init__(self, raw: bytes, has_delegates: bool) -> None:
        kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        resolver = OpResolverType.AUTO if has_delegates else kind
        self.interpreter = Interpreter(
            model_content=raw, num_threads=1, experimental_op_resolver_type=resolver
        )
        try:
            self.interpreter.allocate_tensors()
        except RuntimeError as error:  # of a kernel, or of XNNPACK
            raise Fault(
                f"LiteRT does not take NAME_quant.tflite: {str(error).splitlines()[0]}",
                "write the network with fewer axes, or report it with the model",
            ) from error
        self._run = self.interpreter.get_signature_runner("serving_default")

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Output name -> reals."""
        taken = self._run.get_input_details()  # int32 where the network has int64, perhaps
        given = {n: _moved(v, LAST).astype(taken[n]["dtype"]) for n, v in inputs.items()}
        return {name: _moved(value, FIRST) for name, value in self._run(**given).items()}


def _moved(value: NDArray[Any], perm: tuple[int, ...]) -> NDArray[Any]:
    is_image = value.ndim == 4 and value.dtype.kind == "f"
    return np.ascontiguousarray(value.transpose(perm)) if is_image else value
