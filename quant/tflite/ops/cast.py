"""Changes of type. Weights kept as float16 become float32 constants."""

from __future__ import annotations

import numpy as np
from onnx import helper

from quant.tflite.building.builder import Builder


def cast(b: Builder) -> None:
    x, dtype = b.value(0), b.dtype_out()
    if x.array is not None:
        b.define_constant(x.array.astype(dtype))
        return
    to = helper.np_dtype_to_tensor_dtype(dtype)
    b.define(b.emit("Cast", [b.stored(x)], to=to), x.order)


def dequantize(b: Builder) -> None:
    """Only float16 is left here: codes with a scale are refused when the file is read."""
    x = b.value(0)
    if x.dtype != np.float16:
        raise b.fault(f"the input is {x.dtype} without a scale", "convert the network again")
    cast(b)


OPS = {"CAST": cast, "DEQUANTIZE": dequantize}
