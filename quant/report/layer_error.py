"""The layer report: how far each layer of a quantized network is from the float one.

The same form for every backend. *entire* errors add up from the input on; *single* is the layer's
own, on exact inputs. Each is the worst and the mean over the samples that were analyzed.

layers.json is LayerReport as written by `to_json`; layers.csv has the same rows, one cell a number,
empty where there is none.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quant.fault import Fault


@dataclass(frozen=True)
class Distance:
    """One tensor, one sample. NaN where the float or the quantized tensor isn't finite.

    euclidean: None where it is not told.
    """

    cosine: float
    euclidean: float | None

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.cosine) and math.isfinite(self.euclidean or 0.0)


@dataclass(frozen=True)
class Error:
    """One tensor, all samples: lowest and mean cosine, highest and mean euclidean distance.

    Where a sample's tensor isn't finite, `finite` is False and the four numbers are None: a mean of
    the others would hide it. Distances are None too where no sample's is told.
    """

    finite: bool
    cosine_worst: float | None
    cosine_mean: float | None
    euclidean_worst: float | None
    euclidean_mean: float | None


@dataclass(frozen=True)
class Row:
    """One compiled layer, or one more tensor of the float network.

    id:       number of the compiled layer; None for a tensor that no layer of its own makes
    part_of:  the layer that makes this tensor too, beside the one in that layer's own row
    op, name: operator type and the backend's name of the layer
    tensor:   the tensor that is compared
    dtype, target: what the layer computes in, and where (NPU or CPU)
    cycles:   the compiler's estimate; size_bytes: of the layer's constants
    entire, single: None where the backend compares nothing
    """

    id: int | None
    part_of: int | None
    op: str
    name: str
    tensor: str | None
    dtype: str | None
    target: str | None
    cycles: int | None
    size_bytes: int | None
    entire: Error | None
    single: Error | None


@dataclass(frozen=True)
class LayerReport:
    """backend, toolkit and platform say what made the layers; findings are sentences.

    causes: of lost accuracy, as pipelines.backends.rknn.findings.accuracy.table makes them.
    """

    backend: str
    toolkit: str
    platform: str
    samples: int
    rows: tuple[Row, ...]
    findings: tuple[str, ...] = ()
    causes: tuple[Mapping[str, Any], ...] = ()

    @property
    def layers(self) -> tuple[Row, ...]:
        """The compiled layers alone."""
        return tuple(row for row in self.rows if row.id is not None)


@dataclass(frozen=True)
class Worst:
    """The lowest cosine of a report, and the tensor that has it."""

    cosine: float
    tensor: str


def over_samples(distances: Sequence[Distance]) -> Error:
    """Worst and mean. Raises ValueError on no samples at all."""
    if not distances:
        raise ValueError("no samples to take the worst of")
    if not all(distance.is_finite for distance in distances):
        return Error(False, None, None, None, None)
    cosines = [distance.cosine for distance in distances]
    euclideans = [one.euclidean for one in distances if one.euclidean is not None]
    return Error(
        finite=True,
        cosine_worst=min(cosines),
        cosine_mean=math.fsum(cosines) / len(cosines),
        euclidean_worst=max(euclideans, default=None),
        euclidean_mean=math.fsum(euclideans) / len(euclideans) if euclideans else None,
    )


def worst_entire(rows: Iterable[Row]) -> Worst | None:
    """The lowest *entire* cosine; the first of equals. None where nothing was compared."""
    return _worst((row, row.entire) for row in rows)


def worst_single(rows: Iterable[Row]) -> Worst | None:
    """The lowest *single* cosine; the first of equals. None where nothing was compared."""
    return _worst((row, row.single) for row in rows)


def _worst(errors: Iterable[tuple[Row, Error | None]]) -> Worst | None:
    found = [
        Worst(error.cosine_worst, row.tensor or row.name)
        for row, error in errors
        if error and error.cosine_worst is not None
    ]
    return min(found, key=lambda worst: worst.cosine, default=None)


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Of all rows, as target_metrics.Metrics has them: the worst of each, and the mean."""
    bad = not_finite(rows)
    worst, single = worst_entire(rows), worst_single(rows)
    means = [
        row.entire.cosine_mean
        for row in rows
        if row.entire is not None and row.entire.cosine_mean is not None
    ]
    return {
        "worst_cosine": None if bad or worst is None else worst.cosine,
        "worst_layer": bad[0] if bad else worst.tensor if worst else None,
        "worst_single_cosine": None if bad or single is None else single.cosine,
        "worst_single_layer": bad[0] if bad else single.tensor if single else None,
        "mean_cosine": None if bad or not means else math.fsum(means) / len(means),
    }


def not_finite(rows: Iterable[Row]) -> list[str]:
    """Tensors that hold NaN or infinities in at least one sample, in order."""
    return [
        row.tensor or row.name
        for row in rows
        if any(error is not None and not error.finite for error in (row.entire, row.single))
    ]


def to_json(report: LayerReport) -> str:
    """layers.json; never NaN, which JSON does not have."""
    data = {
        "backend": report.backend,
        "toolkit": report.toolkit,
        "platform": report.platform,
        "samples": report.samples,
        "findings": list(report.findings),
        "causes": list(report.causes),
        "layers": [_plain(row) for row in report.rows],
    }
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def _plain(row: Row) -> dict[str, Any]:
    return {
        **{key: getattr(row, key) for key in ROW_KEYS},
        "bytes": row.size_bytes,
        "entire": _plain_error(row.entire),
        "single": _plain_error(row.single),
    }


def _plain_error(error: Error | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "finite": error.finite,
        "cosine": {"worst": error.cosine_worst, "mean": error.cosine_mean},
        "euclidean": {"worst": error.euclidean_worst, "mean": error.euclidean_mean},
    }


def from_json(text: str) -> LayerReport:
    """What `to_json` wrote. Raises Fault on a file that lacks something: of an older build."""
    data = json.loads(text)
    try:
        return LayerReport(
            backend=data["backend"],
            toolkit=data["toolkit"],
            platform=data["platform"],
            samples=data["samples"],
            rows=tuple(_row(row) for row in data["layers"]),
            findings=tuple(data["findings"]),
            causes=tuple(data["causes"]),
        )
    except KeyError as error:
        (key,) = error.args
        told = f"layers.json lacks `{key}`: an older npumake wrote it"
        raise Fault(told, "build it again") from None


def read(path: Path) -> LayerReport:
    """Of a file. Raises Fault, OSError."""
    return from_json(path.read_text(encoding="utf-8"))


def _row(data: Mapping[str, Any]) -> Row:
    return Row(
        **{key: data[key] for key in ROW_KEYS},
        size_bytes=data["bytes"],
        entire=_error(data["entire"]),
        single=_error(data["single"]),
    )


def _error(data: Mapping[str, Any] | None) -> Error | None:
    if data is None:
        return None
    return Error(
        finite=data["finite"],
        cosine_worst=data["cosine"]["worst"],
        cosine_mean=data["cosine"]["mean"],
        euclidean_worst=data["euclidean"]["worst"],
        euclidean_mean=data["euclidean"]["mean"],
    )


# Fields of Row that stand in the files under their own names.
ROW_KEYS = ("id", "part_of", "op", "name", "tensor", "dtype", "target", "cycles")
ERROR_KEYS = ("finite", "cosine_worst", "cosine_mean", "euclidean_worst", "euclidean_mean")


def to_csv(report: LayerReport) -> str:
    """layers.csv: the rows of layers.json with one cell a number."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        [*ROW_KEYS, "bytes"]
        + [f"{noun}_{key}" for noun in ("entire", "single") for key in ERROR_KEYS]
    )
    for row in report.rows:
        cells = [getattr(row, key) for key in ROW_KEYS]
        writer.writerow([*cells, row.size_bytes, *_cells(row.entire), *_cells(row.single)])
    return file.getvalue()


def _cells(error: Error | None) -> list[object]:
    """Empty where nothing was compared; `finite` is 0 where the tensor isn't."""
    if error is None:
        return [None] * len(ERROR_KEYS)
    return [int(error.finite), *(getattr(error, key) for key in ERROR_KEYS[1:])]
