"""Runs model.rknn on a board with the reference inputs and compares what comes out.

    pip install rknn-toolkit-lite2 numpy     (on the board; librknnrt.so must be there)
    python3 run_references.py [FOLDER of model.rknn and references/]

The exit code is 0 where every number is within its tolerance, 1 where one is not, and 2 where the
runtime refused a call or is not there. rknn-toolkit-lite2 gives floats; they are compared in the
steps of the output where it is quantized. See HANDOFF.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

try:
    import numpy as np
    from rknnlite.api import RKNNLite
except ModuleNotFoundError as error:
    print(f"{error}: on the board, pip install rknn-toolkit-lite2 numpy", file=sys.stderr)
    sys.exit(2)


def main(folder: Path) -> int:
    sheet = json.loads((folder / "handoff.json").read_text(encoding="utf-8"))
    rknn = RKNNLite()
    if rknn.load_rknn(str(folder / "model.rknn")) != 0 or rknn.init_runtime() != 0:
        print("model.rknn was refused", file=sys.stderr)
        return 2
    samples = (folder / "references" / str(i) for i in range(sheet["references"]["samples"]))
    near = [run(rknn, place, sheet) for place in samples]
    rknn.release()
    print("all within tolerance" if all(near) else "NOT within tolerance")
    return 0 if all(near) else 1


def run(rknn: Any, place: Path, sheet: dict[str, Any]) -> bool:
    """Whether all outputs of one sample are near."""
    inputs = [np.load(place / f"input_{i}.npy") for i in range(len(sheet["inputs"]))]
    outputs = rknn.inference(inputs=inputs)
    if outputs is None or len(outputs) != len(sheet["outputs"]):
        print("inference gave no outputs, or another number of them", file=sys.stderr)
        sys.exit(2)
    print(place)
    found = [
        is_near(place, number, got, sheet["outputs"][number]) for number, got in enumerate(outputs)
    ]
    return all(found)


def is_near(place: Path, number: int, got: Any, told: dict[str, Any]) -> bool:
    wanted = np.load(place / f"output_{number}_float.npy").ravel()
    values = np.asarray(got, np.float64).ravel()
    if values.size != wanted.size:
        print(f"  output {number}: {values.size} numbers, not {wanted.size}  TOO FAR")
        return False
    apart = np.abs(values - wanted) / (told["scale"] or 1)
    # Floats of the same integer may differ in their last digits.
    allowed = told["tolerance"] + (0.01 if told["scale"] else 0)
    near = bool(np.all(apart <= allowed))  # not so with a NaN
    print(
        f"  output {number}: largest difference {apart.max():g}, mean {apart.mean():g}, "
        f"tolerance {told['tolerance']:g}{'' if near else '  TOO FAR'}"
    )
    return near


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
