"""runtime.json: what the vendor's own runtime says of an .rknn, without a board.

verdict          `runs`: rknn_run went through all layers; `loads`: rknn_init took the file, and
                 rknn_run did not end well; `information only`: the runtime tells the file's sizes,
                 and can't be asked more for this platform; `refused`
because          why it is no better one, in the runtime's own words where it had any; else empty
runtime          {version, file, is_pinned}
inputs, outputs  {name, shape, layout, dtype, scale, zero_point, bytes, width_stride,
                 bytes_with_stride} as rknn_query tells the board's program
native_inputs,   the same for RKNN_QUERY_NATIVE_*: without conversions by the runtime
native_outputs
memory           {weights_bytes, internal_bytes}, as the runtime allocates them
layers           {op, dtype, target} of the runtime's own table
differences      sentences: where it tells another thing than the file
custom_string    as the board's program can ask for it
least_runtime    as `./doit inspect` tells
not_told         what emulation can't say
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.backends.rknn.file import inspection
from pipelines.backends.rknn.runtime import emulator, told
from pipelines.backends.rknn.runtime.told import Told
from quant.fault import Fault

VERDICTS = ("refused", "information only", "loads", "runs")
"""From the worst to the best."""

# What the hardware answers for its version. 0 is none; librknnrt 1.5.2 takes it for these two.
VERSIONS = {"rk3588": 0x46495245, "rk3562": 0x54524549, "rk3566": 0, "rk3568": 0}
_NOT_HERE = ("rv1103", "rv1106", "rk2118")
_NOT_TOLD = "no NPU was there: results and times can't be told"


def check(model: Path, library: Path | None, home: Path) -> dict[str, Any]:
    """library: a copy of librknnrt from a board, None for the pinned one. Raises Fault."""
    held = inspection.inspect(model)
    platform = str(held["platform"])
    if platform.startswith(_NOT_HERE):
        raise Fault(
            f"{platform} is not run by librknnrt but by a 32-bit runtime of its own",
            "npumake runs librknnrt alone; try the file on a board",
        )
    machine = emulator.prepare(home)
    runtime = library or emulator.pinned_runtime(home)
    if not runtime.is_file():
        raise Fault(f"no file {runtime}", "name a copy of the board's /usr/lib/librknnrt.so")
    run = "shapes" if held["graphs"] > 1 else "run"
    mode = run if platform in VERSIONS else "info"
    environment = {"NPUMAKE_CHIP": platform, "NPUMAKE_NPU_VERSION": str(VERSIONS.get(platform, 0))}
    done = machine.run(runtime, model.resolve(), mode, environment)
    said = told.read(done.stdout)
    if said.library_error:
        raise Fault(
            f"{runtime.name} can't be loaded: {said.library_error}",
            "name a 64-bit copy of the board's /usr/lib/librknnrt.so",
        )
    verdict, because = verdict_of(said, mode, done.returncode)
    version = said.version or _version(runtime)
    return {
        "verdict": verdict,
        "because": " ".join(part for part in (because, _layers_named(because, held)) if part),
        "runtime": {"version": version, "file": runtime.name, "is_pinned": library is None},
        **_told_of(said, held),
        "differences": list(_differences(said, held)) if verdict == "runs" else [],
    }


def _version(runtime: Path) -> str:
    """As the library itself has it; a runtime that refuses a file can't be asked."""
    found = re.search(rb"librknnrt version: ([\d.]+)", runtime.read_bytes())
    return found[1].decode() if found else ""


def _layers_named(because: str, held: Mapping[str, Any]) -> str:
    """The layers of the operators that the runtime refuses."""
    operators = set(re.findall(r"unsupport (\w+) op", because))
    names = [f"`{row['name']}`" for row in held["layers"] if row["op"] in operators]
    return f"({', '.join(names)})" if names else ""


def _told_of(said: Told, held: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "platform": held["platform"],
        "inputs": said.tensors["input"],
        "outputs": said.tensors["output"],
        "native_inputs": said.tensors["native_input"],
        "native_outputs": said.tensors["native_output"],
        "memory": {"weights_bytes": said.weights_bytes, "internal_bytes": said.internal_bytes},
        "layers": [{"op": one.op, "dtype": one.dtype, "target": one.target} for one in said.layers],
        "custom_string": said.custom_string,
        "least_runtime": held["runtime"],
        "not_told": _NOT_TOLD,
    }


def verdict_of(said: Told, mode: str, code: int) -> tuple[str, str]:
    words = "; ".join(dict.fromkeys(said.errors))
    if said.init != 0:
        return "refused", words or _ended("rknn_init", said.init, code)
    if mode == "info":
        return "information only", "the version of this platform's hardware is not known"
    if said.run == 0 and said.is_done:
        return "runs", ""
    return "loads", "; ".join(part for part in (_ended("rknn_run", said.run, code), words) if part)


def _ended(call: str, given: int | None, code: int) -> str:
    if given is not None:
        return f"{call} gave {given}"
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"the runtime died in {call} under emulation ({how})"


def _differences(said: Told, held: Mapping[str, Any]) -> Iterator[str]:
    """Between the runtime's layers and the file's; then its ends."""
    ours = held["layers"]
    if len(said.layers) != len(ours):
        yield f"the runtime has {len(said.layers)} layers, the file {len(ours)}"
    for one, row in zip(said.layers, ours, strict=False):
        pairs = (("op", one.op), ("dtype", one.dtype), ("target", one.target))
        for key, value in pairs:
            if value != row[key]:
                name = row["name"] or row["op"]
                yield f"layer {row['id']} `{name}`: {key} {value}, in the file {row[key]}"
    for side in ("input", "output"):
        yield from _other_names(said.tensors[side], held[f"{side}s"], side)


def _other_names(
    told_rows: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], side: str
) -> Iterator[str]:
    names = [row["name"] for row in told_rows], [row["name"] for row in rows]
    if names[0] != names[1]:
        yield f"{side}s are {', '.join(names[0])}, in the file {', '.join(names[1])}"
    for one, row in zip(told_rows, rows, strict=False):
        for key in ("scale", "zero_point"):
            a, b = one[key], row[key]
            if a is not None and b is not None and abs(a - b) > 1e-6 * abs(a):
                yield f"{side} `{row['name']}`: {key} {a}, in the file {b}"
