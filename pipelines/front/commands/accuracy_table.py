"""What the doctor tried for accuracy, as a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pipelines.doctor import accuracy
from pipelines.doctor.trial import Foretold, Result
from pipelines.files import console

_HEAD = ("error", "output", "layer", "artifact", "Mcycles", "remedy")
_MEANINGS = (
    "error: of the worst output, simulator against onnxruntime: the mean over its channels of the "
    "largest difference by the channel's own range (by the output's, where it has no channels)",
    "output, layer: lowest cosines; Mcycles: the SDK's estimate",
    "~: by our simulation, and not built",
    "interface: the program gets other outputs; only `--interface NAME` takes it",
)


def lines(
    results: Sequence[Result], cuts: Sequence[str], foretold: Sequence[Foretold] = ()
) -> Iterator[str]:
    """By error, then what was not built, what the columns mean, and which failed."""
    tried = [result for result in results if not result.failure]
    tried.sort(key=lambda result: math.inf if result.error is None else result.error)
    rows: list[Sequence[str]] = [_HEAD]
    for one in tried:
        mark = " (interface)" if accuracy.is_interface(one, cuts) else ""
        rows.append(
            (
                share(one.error),
                cosine(one.worst_output_cosine),
                cosine(one.worst_cosine),
                console.quantity(one.artifact_bytes),
                "?" if one.cycles is None else f"{one.cycles / 1e6:.2f}",
                f"{one.remedy.name}{mark}",
            )
        )
    foretold = sorted(foretold, key=lambda one: one.error or 0)
    rows += [(f"~{share(one.error)}", *[""] * 4, one.remedy.name) for one in foretold]
    yield from console.table(rows, right=range(len(_HEAD) - 1))
    yield ""
    yield from below(_MEANINGS, results)


def below(meanings: Sequence[str], results: Sequence[Result]) -> Iterator[str]:
    """What a table's columns mean, and what failed."""
    for meaning in meanings:
        yield from console.wrap(meaning, "  ")
    for result in results:
        if result.failure:
            yield from console.wrap(f"failed: {result.remedy.name}: {result.failure}", "  ")


def share(error: float | None) -> str:
    return "NaN" if error is None else f"{error:.1%}"


def cosine(value: float | None) -> str:
    return "NaN" if value is None else f"{value:.5f}"
