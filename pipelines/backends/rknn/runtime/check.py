"""runtime.json: what the vendor's own runtime says of an .rknn, without a board.

verdict          `runs`: rknn_run went through all layers; `loads`: rknn_init took the file, and
                 rknn_run did not end well; `information only`: the runtime tells the file's sizes,
                 and can't be asked more for this platform; `refused`
because          why it is no better one, in the runtime's own words where it had any; else empty
runtime          {name, version, file, is_pinned}; name: librknnrt, of rv1103 and rv1106 librknnmrt
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
from pipelines.backends.rknn.file.platforms import MINIMAL, UNKNOWN, VERSIONS
from pipelines.backends.rknn.runtime import emulator, processor, told
from pipelines.backends.rknn.runtime.processor import AARCH64
from pipelines.backends.rknn.runtime.told import Told
from quant.fault import Fault

VERDICTS = ("refused", "information only", "loads", "runs")
"""From the worst to the best."""

_NOT_TOLD = "no NPU was there: results and times can't be told"
_NAMED = re.compile(rb"(librknnm?rt) version: ([\d.]+)")
# librknnrt 1.5.2: "unsupport Atan op"; 1.6.0: "Unsupport CPU op: Atan"; librknnmrt:
# "unsupport cpu Atan op".
_UNSUPPORTED = re.compile(r"unsupport (?:cpu )?(?:op: )?(\w+)", re.IGNORECASE)
# Of a layer that the runtime died in, by its operator, and of which runtimes that is known; and the
# SDK whose files were looked at.
_KNOWN_OF = "2.5.0"
_KNOWN: dict[str, tuple[tuple[str, ...], str]] = {
    "exLSTM": (
        ("1.5.2", "1.6.0"),
        "an LSTM of SDK 2.5.0 has its layout in letters, which this runtime takes for a number: "
        "it needs a newer one",
    ),
}


def check(model: Path, library: Path | None, home: Path) -> dict[str, Any]:
    """library: a copy of the runtime from a board, None for the pinned one. Raises Fault."""
    held = inspection.inspect(model)
    platform = str(held["platform"])
    runtime = _runtime(platform, library, home)
    machine = emulator.prepare(home, processor.of_library(runtime))
    name, version = _named(runtime)
    wanted = "librknnmrt" if platform in MINIMAL else "librknnrt"
    if name != wanted:
        raise Fault(f"{platform} is run by {wanted}, and {runtime.name} is {name or 'another'}")
    mode = _mode(platform, held["graphs"])
    environment = {"NPUMAKE_CHIP": platform, "NPUMAKE_NPU_VERSION": str(VERSIONS.get(platform, 0))}
    done = machine.run(runtime, model.resolve(), mode, environment)
    said = told.read(done.stdout)
    if said.library_error:
        raise Fault(f"{runtime.name} can't be loaded: {said.library_error}")
    verdict, because = verdict_of(said, mode, done.returncode)
    version = said.version or version
    told_more = [_layers_named(because, held)]
    if verdict == "loads" and said.run is None and held["toolkit"] == _KNOWN_OF:
        told_more.append(known(held["layers"], version))
    return {
        "verdict": verdict,
        "because": " ".join(part for part in (because, *told_more) if part),
        "runtime": {
            "name": name,
            "version": version,
            "file": runtime.name,
            "is_pinned": library is None,
        },
        **_told_of(said, held),
        "differences": list(_differences(said, held)) if verdict == "runs" else [],
    }


def _runtime(platform: str, library: Path | None, home: Path) -> Path:
    """The copy that the user names, else the pinned one."""
    if platform in UNKNOWN:
        raise Fault(f"which runtime {platform} has is not known", "try the file on a board")
    if library is None and platform in MINIMAL:
        raise Fault(
            f"{platform} is run by librknnmrt, of which no package is public",
            "name a copy of the board's /usr/lib/librknnmrt.so: --librknnrt FILE, or "
            "`runtime: {librknnrt: FILE}` in the recipe",
        )
    if library and not library.is_file():
        raise Fault(f"no file {library}", "name a copy of the board's /usr/lib/librknnrt.so")
    if not library and (lacking := AARCH64.lacking()):
        raise Fault(lacking, f"Debian, Ubuntu: {AARCH64.install}")
    return library or emulator.pinned_runtime(home)


def _mode(platform: str, graphs: int) -> str:
    """See probe.c."""
    if platform not in VERSIONS:
        return "info"
    if platform in MINIMAL:
        return "memory"
    return "shapes" if graphs > 1 else "run"


def _named(runtime: Path) -> tuple[str, str]:
    """Name and version, as the library itself has them; one that refuses a file can't be asked."""
    found = _NAMED.search(runtime.read_bytes())
    return (found[1].decode(), found[2].decode()) if found else ("", "")


def known(layers: Sequence[Mapping[str, Any]], version: str) -> str:
    """Why a network does not run through, where an operator of it is known for that."""
    for operator, (versions, why) in _KNOWN.items():
        names = [f"`{row['name']}`" for row in layers if row["op"] == operator]
        if names and version in versions:
            return f"({', '.join(names)}: {why})"
    return ""


def _layers_named(because: str, held: Mapping[str, Any]) -> str:
    """The layers of the operators that the runtime refuses."""
    operators = set(_UNSUPPORTED.findall(because))
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
    if said.run == 0:
        return "runs", "" if said.is_done else _ended(_NATIVE, None, code)
    how = _ended(*_failed(said, mode), code)
    return "loads", "; ".join(part for part in (how, words) if part)


_NATIVE = "rknn_query of native inputs and outputs, which a program had better not ask for,"


def _failed(said: Told, mode: str) -> tuple[str, int | None]:
    """The call that was the last, and what it gave."""
    if said.inputs_set == 0:
        return "rknn_run", said.run
    return "rknn_set_io_mem" if mode == "memory" else "rknn_inputs_set", said.inputs_set


def _ended(call: str, given: int | None, code: int) -> str:
    if given is not None:
        return f"{call} gave {given}"
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"the runtime died in {call} under emulation ({how})"


def _differences(said: Told, held: Mapping[str, Any]) -> Iterator[str]:
    """Between the runtime's layers and the file's; then its ends."""
    ours = held["layers"]
    if said.layers and len(said.layers) != len(ours):
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
