"""How the backend qdq quantizes, in the words and with the defaults of onnxruntime.

Source: onnxruntime.quantization.quantize_static; num_bins: of create_calibrator.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

TYPES = ("QInt8", "QUInt8", "QInt16", "QUInt16")
METHODS = ("MinMax", "Entropy", "Percentile")


@dataclass(frozen=True)
class Options:
    """num_bins: of a histogram; None: as onnxruntime has it."""

    activation_type: str = "QInt8"
    weight_type: str = "QInt8"
    per_channel: bool = False
    reduce_range: bool = False
    calibrate_method: str = "MinMax"
    percentile: float = 99.999
    num_bins: int | None = None
    op_types_to_quantize: tuple[str, ...] = ()
    nodes_to_exclude: tuple[str, ...] = ()


OF_QUANTIZE = ("calibrate_method", "percentile", "num_bins")
OF_BUILD = tuple(field.name for field in fields(Options) if field.name not in OF_QUANTIZE)
