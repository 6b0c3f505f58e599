"""A recurrent layer is written out once for each time step.

Looks like: an LSTM or a GRU with many commands and tasks, more of them the longer its sequence.

Why: the NPU has no loop. On rk3588 (2.5.0 and 2.3.2) an LSTM has 89 KB of commands a direction and
5.2 KB of tasks for each step; a GRU, which runs in float16 even in an int8 build, 27 KB of commands
and tasks for each step; of any width. On rk3576 an LSTM has 66 KB a step.

Do: build the network for fewer steps, with the state as an input and an output (`initial_h` and
`Y_h`, an LSTM's `initial_c` and `Y_c` too), and call it more often. A GRU in place of an LSTM has
three quarters of the weights, in two bytes each, and is smaller for a few steps alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.finding import Found, Report, Row, kind, megabytes

PLACE = 60

_GROWS = {"LSTM": ("tasks",), "GRU": ("commands", "tasks")}  # on every platform that was tried
_FLOAT16_BITS = 16


def find(report: Report) -> Iterator[Found]:
    for row in report.nodes:
        if row["op"] in _GROWS and (steps := _steps(report, row)):
            yield _found(report, row, steps)


def _steps(report: Report, row: Row) -> int:
    """Length of the sequence, [steps, batch, values], that the node's layer reads."""
    layers = [layer for layer in report.layers if layer["node"] == row["node"]]
    shapes = [shape for layer in layers for shape in layer["input_shapes"][:1] if shape]
    return int(shapes[0][0]) if shapes else 0


def _found(report: Report, row: Row, steps: int) -> Found:
    each = kind([row], *_GROWS[row["op"]]) // steps
    lists = kind([row], "commands", "tasks")
    message = (
        f"`{row['node']}`, {row['op']} of {steps} time steps: {megabytes(lists)} of commands and "
        f"tasks, at least {megabytes(each)} a step"
    )
    if steps > 1:
        message += f"; one step a call would save at least {megabytes(each * (steps - 1))}"
    payload = kind([row], "payload")
    gru = payload * 3 // 4 * _FLOAT16_BITS // report.ledger.weight_bits
    if row["op"] == "LSTM":
        message += f"; a GRU would have {megabytes(gru)} of weights instead of {megabytes(payload)}"
    saved = each * (steps - 1)
    return Found(
        message,
        saved,
        {"steps": steps, "bytes_per_step": each, "commands_and_tasks": lists, "payload": payload},
        [str(row["node"])],
        is_cause=report.is_notable(saved),
    )
