"""What each SDK makes of each operator: on the NPU, on the CPU, in float, or refused.

    .venv/bin/python -m benchmarks.operators --folder FOLDER [--only WORD ...] [--write]

Every network of benchmarks.operator_cases is built for every platform, in every type that the
platform takes, by every toolchain rknn-*; in a process of its own, with 4 seeded samples to
calibrate. What is measured is added to FOLDER/measured.jsonl, and a second run goes on there, and
leaves out what operators.csv has.
--write makes of that file the table that npumake reads (pipelines/backends/rknn/measured/) and
docs/operators.md. It takes about 0.1 s of CPU a build, 12,000 builds in all.

error: the largest difference of the simulator's output from onnxruntime's on the float network, as
a share of that output's range.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from benchmarks import operators_page
from benchmarks.operator_cases import CASES, SHAPE, network
from benchmarks.operator_worker import ENDED, HUNG
from pipelines.backends.rknn.measured import operators
from pipelines.backends.rknn.recipe import vendor
from pipelines.files.engine import CODE
from pipelines.run.toolchain.toolchain import Environments

SAMPLES = 4
TYPES = ("w8a8", "float16", "w16a16i_dfp")
# Those that most people have come first; a run may be stopped at any time.
PLATFORMS = (
    *("rk3588", "rk3566", "rk3576", "rv1106", "rk3562", "rv1126b"),
    *("rk3568", "rv1103", "rv1103b", "rv1106b", "rk2118"),
)
# In these the SDK's process ends at a convolution.
LEFT_OUT = {("rk2118", "w8a8"), *((p, "w16a16i_dfp") for p in ("rk2118", "rv1103b", "rv1106b"))}
_WORTH = (
    *(("2.5.0", "w8a8"), ("2.5.0", "float16"), ("2.3.2", "w8a8"), ("2.3.2", "float16")),
    *(("2.2.0", "w8a8"), ("2.3.0", "w8a8"), ("2.5.0", "w16a16i_dfp"), ("2.2.0", "float16")),
    *(("2.3.0", "float16"), ("2.3.2", "w16a16i_dfp"), ("2.3.0", "w16a16i_dfp")),
    ("2.2.0", "w16a16i_dfp"),
)
Order = dict[str, str]


def groups() -> Iterator[tuple[str, str, str]]:
    """(version, type, platform) in order of worth."""
    assert sorted(PLATFORMS) == sorted(vendor.PLATFORMS)
    for version, dtype in _WORTH:
        for platform in PLATFORMS:
            is_taken = platform in vendor.DTYPES[version][dtype]
            if is_taken and (platform, dtype) not in LEFT_OUT:
                yield version, dtype, platform


def lay_out(folder: Path) -> None:
    """Networks, samples and what onnxruntime gives for the first."""
    folder.mkdir(parents=True, exist_ok=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    for number, name in enumerate(CASES):
        file = folder / f"{number}.onnx"
        onnx.save(network(name), file)
        x = np.random.default_rng(1).normal(size=(SAMPLES, *SHAPE)).astype(np.float32)
        y = onnxruntime.InferenceSession(file, options).run(None, {"x": x[0]})[0]
        np.savez(file.with_suffix(".npz"), x=x, y=y)


def measure(folder: Path, version: str, orders: Iterable[Order]) -> Iterator[dict[str, Any]]:
    """An answer an order, by one process of the version's toolchain."""
    stand_in = CODE / "pipelines" / "backends" / "rknn" / "torch_stand_in"
    path = os.pathsep.join(map(str, (stand_in, CODE)))
    python = Environments(CODE).python(f"rknn-{version}")
    command = [str(python), "-m", "benchmarks.operator_worker", str(folder)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as worker:
        assert worker.stdin and worker.stdout
        for order in orders:
            worker.stdin.write(json.dumps(order) + "\n")
            worker.stdin.flush()
            yield json.loads(worker.stdout.readline())
        worker.stdin.close()


def run(folder: Path, only: list[str]) -> None:
    """only: words of which each is a version, a type or a platform; a group has all of them."""
    lay_out(folder)
    found = folder / "measured.jsonl"
    done = {_key(one) for one in read(found)} | set(_held())
    names = list(CASES)
    for version, dtype, platform in groups():
        orders = [
            {"name": str(number), "platform": platform, "dtype": dtype}
            for number, name in enumerate(names)
            if (name, platform, dtype, version) not in done
        ]
        if not orders or not {version, dtype, platform}.issuperset(only):
            continue
        with found.open("a") as file:
            for answer in measure(folder, version, orders):
                case = names[int(answer.pop("name"))]
                file.write(json.dumps({"case": case, "version": version, **answer}) + "\n")
                file.flush()
        print(f"rknn-{version} {dtype} {platform}: {len(orders)} built", flush=True)


def read(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines()]


def _key(one: dict[str, Any]) -> tuple[str, str, str, str]:
    return one["case"], one["platform"], one["dtype"], one["version"]


def write(measured: list[dict[str, Any]]) -> None:
    """operators.csv and docs/operators.md."""
    versions, names = list(vendor.VERSIONS), list(CASES)
    rows = _held() | {_key(one): _row(one) for one in measured if one["case"] in CASES}
    rows = {key: row for key, row in rows.items() if (row.platform, row.dtype) not in LEFT_OUT}
    known = sorted(
        rows.values(),
        key=lambda row: (
            versions.index(row.version),
            TYPES.index(row.dtype),
            names.index(row.case),
            row.platform,
        ),
    )
    with operators.FILE.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(operators.Row._fields)
        out.writerows(known)
    operators.rows.cache_clear()
    operators_page.main()


def _held() -> dict[tuple[str, str, str, str], operators.Row]:
    """What operators.csv has. Rows of a case that is changed are to be deleted there first."""
    rows = (row for row in operators.rows() if row.case in CASES)
    return {(row.case, row.platform, row.dtype, row.version): row for row in rows}


def _row(one: dict[str, Any]) -> operators.Row:
    is_refused = "refused" in one
    error = f"{one['error']:.4f}" if "error" in one else ""
    said = one.get("refused", one.get("unsimulated", ""))
    if said in (ENDED, HUNG):
        said = ""
    return operators.Row(
        one["version"],
        one["dtype"],
        one["platform"],
        one["case"],
        CASES[one["case"]].operator,
        operators.REFUSED if is_refused else _place(one),
        " ".join(one.get("types", ())),
        error,
        str(one.get("cycles", "")),
        str(one.get("bytes", "")),
        said.partition(" refused ")[2][:120] or said[:120],
    )


def _place(one: dict[str, Any]) -> str:
    places = operators.BOTH if one["npu"] and one["cpu"] else operators.CPU
    place = operators.NPU if not one["cpu"] else places
    return f"{place} float" if one["float"] else place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if arguments.write:
        write(read(folder / "measured.jsonl"))
    else:
        run(folder, arguments.only)


if __name__ == "__main__":
    main()
