"""Joining the compiler's layer table with the SDK's error analysis: the LayerReport.

Error rows name tensors, layers name operators; the .rknn file says which operator makes which
tensor (build.json's `outputs`), exactly. Rows of tensors that no layer makes (fused into one, or
only in the simulator, such as `input_int8`) follow the layers, with id null; a layer's second and
further tensors too, with part_of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from pipelines.backends.rknn.analysis import error_analysis
from pipelines.backends.rknn.findings.finding import listed
from quant.report.build_json import BuildReport
from quant.report.layer_error import Distance, Error, LayerReport, Row, not_finite, over_samples

NOT_COMPARED = "the SDK compares no layers of a network that was quantized before"
# Layers that move data in and out; they compute nothing and are compared with nothing.
ENDS = ("InputOperator", "OutputOperator")


def make(build: BuildReport, analyses: Sequence[Sequence[error_analysis.Row]]) -> LayerReport:
    """build: build.json. analyses: for each sample the rows of its error_analysis.txt."""
    errors = _by_tensor(analyses)
    rows = [*_layers(build, errors)]
    made = {tensor for outputs in build.outputs for tensor in outputs}
    rows += [_extra(tensor, found, None) for tensor, found in errors.items() if tensor not in made]
    return LayerReport(
        backend="rknn",
        toolkit=build.toolkit,
        platform=build.platform,
        samples=len(analyses),
        rows=tuple(rows),
        findings=tuple(_all_findings(rows, analyses) if analyses else [NOT_COMPARED]),
    )


Errors = tuple[str, Error | None, Error | None]  # operator type, entire, single


def _by_tensor(analyses: Sequence[Sequence[error_analysis.Row]]) -> dict[str, Errors]:
    """Tensor -> its errors over all samples. Raises ValueError where samples list other tensors."""
    if not analyses:
        return {}
    names = [row.tensor for row in analyses[0]]
    if any([row.tensor for row in rows] != names for rows in analyses):
        raise ValueError("the SDK analyzed other tensors for one sample than for another")
    return {rows[0].tensor: _errors(rows) for rows in zip(*analyses, strict=True)}


def _errors(rows: Sequence[error_analysis.Row]) -> Errors:
    """One tensor's rows, one for each sample."""
    told = [row for row in rows if not row.is_zero]
    return rows[0].op_type, _error([r.entire for r in told]), _error([r.single for r in told])


def _error(found: Sequence[error_analysis.Distance | None]) -> Error | None:
    distances = [Distance(one.cosine, one.euclidean) for one in found if one is not None]
    if not distances:
        return None
    missing = len(found) - len(distances)
    return over_samples([*distances, *[Distance(math.nan, math.nan)] * missing])


def _layers(build: BuildReport, errors: Mapping[str, Errors]) -> Iterator[Row]:
    constants: dict[int, int] = {}
    for constant in build.constants:
        constants[constant["id"]] = constants.get(constant["id"], 0) + constant["size_bytes"]
    for layer, outputs in build.made:
        tensor = outputs[0] if outputs else None
        _, entire, single = errors.get(tensor or "", ("", None, None))
        yield Row(
            id=layer["id"],
            part_of=None,
            op=layer["op_type"],
            name=layer["full_name"],
            tensor=tensor,
            dtype=layer["dtype"],
            target=layer["target"],
            cycles=layer["cycles_total"],
            size_bytes=constants.get(layer["id"], 0),
            entire=entire,
            single=single,
        )
        for further in outputs[1:]:
            if further in errors:
                yield _extra(further, errors[further], layer["id"])


def _extra(tensor: str, errors: Errors, part_of: int | None) -> Row:
    op, entire, single = errors
    return Row(
        id=None,
        part_of=part_of,
        op=op,
        name=f"{op}:{tensor}",
        tensor=tensor,
        dtype=None,
        target=None,
        cycles=None,
        size_bytes=None,
        entire=entire,
        single=single,
    )


def compute_layers(rows: Sequence[Row]) -> list[Row]:
    """The compiled layers without the ends."""
    return [row for row in rows if row.id is not None and row.op not in ENDS]


def cpu_layers(rows: Sequence[Row]) -> list[Row]:
    return [row for row in compute_layers(rows) if row.target == "CPU"]


def float_layers(rows: Sequence[Row]) -> list[Row]:
    return [row for row in compute_layers(rows) if "FLOAT" in (row.dtype or "")]


def compared_layers(rows: Sequence[Row]) -> list[Row]:
    return [row for row in compute_layers(rows) if row.entire]


def _all_findings(
    rows: Sequence[Row], analyses: Sequence[Sequence[error_analysis.Row]]
) -> Iterator[str]:
    for tensor in not_finite(rows):
        yield f"`{tensor}` holds NaN or infinities, in the float network or in the quantized one"
    yield from (sentence for i, one in enumerate(analyses) for sentence in _zeros(i, one))
    gone = lost(analyses)
    if gone:
        yield (
            f"the quantized network is all 0 at {listed(gone)}, the float one is not: its steps "
            "are too coarse for such small values"
        )
    layers = compute_layers(rows)
    zeros = {row.tensor for analysis in analyses for row in analysis if row.is_zero}
    missing = [row for row in layers if not row.entire and row.tensor not in zeros]
    if missing:
        left_out = ", ".join(row.name or row.op for row in missing)
        yield (
            f"{len(missing)} of {len(layers)} layers have no error values, for the "
            f"SDK's simulator has no such tensors: {left_out}"
        )


def lost(analyses: Sequence[Sequence[error_analysis.Row]]) -> list[str]:
    """Tensors that are all 0 in the quantized network alone, in at least one sample."""
    names = (str(row.tensor) for one in analyses for row in one if _is_lost(row))
    return list(dict.fromkeys(names))


def _is_lost(row: error_analysis.Row) -> bool:
    return row.entire is not None and row.entire.euclidean is None


def _zeros(number: int, analysis: Sequence[error_analysis.Row]) -> Iterator[str]:
    """Of one sample: which tensors hold nothing but 0 in float."""
    zeros = [row for row in analysis if row.is_zero]
    inputs = [f"`{row.tensor}`" for row in zeros if row.op_type == "Input"]
    if inputs:
        yield f"sample {number} is all 0 at the input {', '.join(inputs)}: is that meant?"
    if zeros:
        yield (
            f"in sample {number} the float network is all 0 at "
            f"{listed([str(row.tensor) for row in zeros])}: that has no direction, so the sample "
            "does not count for the cosines there"
        )
