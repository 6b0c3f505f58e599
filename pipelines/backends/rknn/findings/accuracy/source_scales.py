"""Scales of a source that was quantized before are others in the file.

Looks like: an output of the board is by a constant factor off, or trained codes differ by a step.

Why: rknn-toolkit2 2.5.0 takes a zero point of 0 for a symmetric range and makes the scale 128/127
as large; 2.3.2 keeps it, and changes weights. Pooling keeps its input's scale.

Do: quantize with zero points other than 0 (asymmetric activations), give the board's program the
scales of `./doit handoff`, or give the float network, which the SDK quantizes itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import Evidence, SourceScale
from pipelines.backends.rknn.findings.finding import Found, listed

PLACE = 35

_SAME = 1e-6  # both are float32


def find(evidence: Evidence) -> Iterator[Found]:
    held = evidence.source_scales
    changed = [one for one in held if _factor(one) is not None]
    if not held:
        return
    inside = sum(one.file is None for one in held)
    numbers = {"scales": len(held), "changed": len(changed), "inside": inside}
    kept = len(held) - len(changed) - inside
    counts = f"of the source's {len(held)} scales {kept} are kept, {len(changed)} changed"
    if inside:
        counts += f", {inside} inside of layers"
    if not changed:
        yield Found(counts, 0, numbers, is_cause=False)
        return
    first = changed[0]
    assert first.file is not None
    yield Found(
        f"{counts}: {listed([one.tensor for one in changed])}; `{first.tensor}` has "
        f"{first.source[0]:.6g} and zero point {first.source[1]} in the source, "
        f"{first.file[0]:.6g} and {first.file[1]} in the file",
        0,
        numbers,
        [one.tensor for one in changed],
    )


def _factor(one: SourceScale) -> float | None:
    """The file's scale by the source's, where they differ in scale or zero point."""
    if one.file is None:
        return None
    factor = one.file[0] / one.source[0]
    is_same = abs(factor - 1) < _SAME and one.file[1] == one.source[1]
    return None if is_same else factor
