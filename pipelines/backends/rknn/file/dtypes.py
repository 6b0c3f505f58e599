"""Types of a network as a recipe names them: those with which the SDK quantizes nothing."""

from __future__ import annotations

FLOAT16, PREQUANTIZED = "float16", "prequantized"
NOT_QUANTIZED = (FLOAT16, PREQUANTIZED)
