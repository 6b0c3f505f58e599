"""Each output of the network has a part of it for itself.

Looks like: several outputs, such as auxiliary heads from training, or maps beside the detections
that were made from them.

Why: exporters keep what the training code returns; the compiler keeps whatever is an output.

Do: leave out the outputs that nobody reads, in the model's `forward` or with a cut; these are the
bytes that go with each.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.finding import Found, Report, megabytes

PLACE = 120


def find(report: Report) -> Iterator[Found]:
    outputs = report.ledger.outputs
    if len(outputs) < 2:
        return
    told = ", ".join(f"`{one['name']}` {megabytes(one['bytes'])}" for one in outputs)
    yield Found(
        f"what goes with each output, if it is not used: {told}",
        max(one["bytes"] for one in outputs),
        {"outputs": {one["name"]: one["bytes"] for one in outputs}},
        is_cause=False,
    )
