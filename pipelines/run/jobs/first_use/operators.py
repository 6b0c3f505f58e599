"""onnx makes its table of operators, which every check and inference of shapes asks: 10 ms."""

from __future__ import annotations

import onnx

onnx.defs.has("Relu")
