"""What runs now, for how long, which step of how many, and how long it took the last time."""

from __future__ import annotations

from collections.abc import Mapping


def text(running: Mapping[str, float], ended: int, steps: int, times: Mapping[str, float]) -> str:
    """`step 3 of 15: m:quantize@rk3588 12 s of about 37 s, n:export 2 s`.

    running: step -> seconds so far. ended, steps: how many are done with, and how many there are.
    times: step -> seconds of its last run.
    """
    parts = []
    for name, elapsed_s in sorted(running.items()):
        usual = f" of about {times[name]:.0f} s" if times.get(name, 0) >= 1 else ""
        parts.append(f"{name} {elapsed_s:.0f} s{usual}")
    first = min(ended + 1, steps)
    last = min(ended + len(running), steps)
    numbers = f"step {first}" if first >= last else f"steps {first} to {last}"
    return f"{numbers} of {steps}: {', '.join(parts)}"
