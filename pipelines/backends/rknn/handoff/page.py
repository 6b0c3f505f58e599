"""HANDOFF.md: handoff.json in one page, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from quant.rewrites.divided import sentences

_RUN = """\
## Test a port

`references/N/input_I.npy` are inputs as the program gives them; `output_I.npy` are the simulator's
outputs as the file's integers (where the output has them), `output_I_float.npy` the same as floats.
On the board:

    g++ -O2 -std=c++17 run_references.cc -o run_references -lrknnrt && ./run_references
    python3 run_references.py        # with rknn-toolkit-lite2

Each tells the largest difference of every output, and fails beyond its tolerance: twice what the
simulator's own outputs move when every number that goes in moves by at most one step. The NPU
rounds inside otherwise than the simulator, by single steps; that it stays within this was not
measured on a board. A wrong colour order, layout or normalization is far beyond it."""


def text(sheet: Mapping[str, Any]) -> str:
    return "\n".join(_lines(sheet)) + "\n"


def _lines(sheet: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {sheet['model']} for {sheet['platform']}"
    yield ""
    yield (
        f"`{sheet['file']}`, {sheet['file_bytes']:,} bytes, by rknn-toolkit2 {sheet['toolkit']}; "
        f"SHA-256 {sheet['sha256']}. All of this for programs: `handoff.json`."
    )
    yield from ("", "## Inputs, in this order", "")
    yield "| | name | layout | shape | type | scale, zero point | give |"
    yield "|---|---|---|---|---|---|---|"
    for number, row in enumerate(sheet["inputs"]):
        yield f"| {number} | {_end(row)} | {row['give']['dtype']} |"
    yield ""
    for row in sheet["inputs"]:
        yield f"- {_code(row['name'])}: {'; '.join(_given(row['give']))}."
    if shapes := sheet["dynamic_input"]:
        yield ""
        yield (
            f"The file has {len(shapes)} sets of shapes, {', '.join(map(str, shapes))}: before its "
            "first run the program chooses one by `rknn_set_input_shapes`. Without, the runtime "
            "ended in `rknn_run` (librknnrt 1.5.2). rknn-toolkit-lite2 chooses by the arrays that "
            "it is given, as its own example does."
        )
    yield from ("", "## Outputs, in this order", "")
    yield "| | name | layout | shape | type | scale, zero point | tolerance |"
    yield "|---|---|---|---|---|---|---|"
    for number, row in enumerate(sheet["outputs"]):
        unit = " steps" if row["unit"] == "steps" else ""
        yield f"| {number} | {_end(row)} | {row['tolerance']:g}{unit} |"
    yield from _about_outputs(sheet)
    yield from ("", "## The board", "", f"- Runtime: {sheet['runtime']}.")
    yield f"- Driver: {sheet['driver']}."
    yield f"- Memory: {_memory(sheet['memory'])}."
    told = _code(sheet["custom_string"]) if sheet["custom_string"] else "none"
    yield f"- Custom string (RKNN_QUERY_CUSTOM_STRING): {told}."
    yield ""
    yield from programs(sheet["runtime"])
    if sheet["references"]["is_random"]:
        yield ""
        yield "The recipe names no data: the reference inputs are random numbers."


def programs(runtime: str) -> Iterator[str]:
    """How the references are run. runtime: as handoff.json has it."""
    yield _RUN
    if runtime.startswith("librknnmrt"):
        yield ""
        yield (
            "**Neither runs with librknnmrt**, which refuses `rknn_inputs_set` and has no "
            "rknn-toolkit-lite2: give inputs and take outputs by `rknn_create_mem` and "
            "`rknn_set_io_mem`, as RKNN_QUERY_NATIVE_INPUT_ATTR and _OUTPUT_ATTR describe them, "
            "and compare with the references."
        )


def _end(row: Mapping[str, Any]) -> str:
    parts = "none: floats" if row["dtype"].startswith("FLOAT") else "none: whole numbers"
    if row["scale"] is not None:
        parts = f"{_number(row['scale'])}, {row['zero_point']}"
    layout = "as the network's" if row["layout"] == "UNDEFINED" else row["layout"]
    return f"{_code(row['name'])} | {layout} | {row['shape']} | {row['dtype']} | {parts}"


def _number(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _code(name: str) -> str:
    return "`" + name.replace("|", "\\|").replace("\n", " ") + "`"


def _given(give: Mapping[str, Any]) -> Iterator[str]:
    yield give["values"]
    for key in ("mean", "std"):
        if give[key] is not None:
            yield f"{key} {', '.join(f'{value:g}' for value in give[key])}"
    if give["color"]:
        yield f"colour order {give['color']}"
    if give["resize"]:
        border = f" with a border of {give['pad']}" if give["pad"] is not None else ""
        yield f"calibrated on pictures resized by {give['resize']}{border}, bilinear, antialiased"


def _about_outputs(sheet: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    if any(row["scale"] is not None for row in sheet["outputs"]):
        yield "A value is (integer - zero point) x scale; `want_float` has the runtime do that."
    for row in sheet["outputs"]:
        if row["evaluate"]:
            told = row["evaluate"]
            yield (
                f"{_code(row['name'])} was evaluated by {told['metric']} with the classes of "
                f"`{told['labels']}`: a class is a place along its last axis."
            )
    for sentence in sentences(sheet["divided"]):
        yield f"**{sentence}.**"
    if tail := sheet["tail"]:
        yield (
            f"`{tail['file']}` (ONNX, for the CPU) follows: it takes "
            f"{', '.join(map(_code, tail['inputs']))} as floats and makes "
            f"{', '.join(map(_code, tail['outputs']))}."
        )


def _memory(memory: Mapping[str, Any]) -> str:
    told = [
        f"{int(memory[f'{name}_bytes']):,} bytes {words}"
        for name, words in (("weights", "of weights"), ("internal", "inside"))
        if memory[f"{name}_bytes"] is not None
    ]
    return ", ".join(told) or "not told by the build"
