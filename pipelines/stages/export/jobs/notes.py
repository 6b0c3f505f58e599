"""What an export job tells check_onnx, which runs after it in the same step."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from quant.execution.compare import at_most

_FILE = "export_notes.json"


@dataclass(frozen=True)
class ExportNotes:
    """exporter: what made the graph, with its version; empty where the source was one already.

    changes: one sentence for each thing that is not as in the source. warnings: what the user
    should know. maximum_difference: output name -> bound of that from the source; None if not
    compared.
    """

    exporter: str = ""
    changes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    maximum_difference: Mapping[str, float] | None = field(default=None)

    def save(self, scratch: Path) -> None:
        (scratch / _FILE).write_text(json.dumps(asdict(self)))


def bounds(found: Mapping[str, float]) -> dict[str, float]:
    """Differences as notes hold them. Their digits are for the step's log."""
    for name, value in found.items():
        print(f"output `{name}`: {value:.3g} of its largest magnitude away from the source's")
    return {name: at_most(value) for name, value in found.items()}


def read_export_notes(scratch: Path) -> ExportNotes:
    """What the job before has saved."""
    return ExportNotes(**json.loads((scratch / _FILE).read_text()))
