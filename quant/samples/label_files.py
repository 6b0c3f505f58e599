"""Where the labels of labelled data are kept, for those that write and those that read them."""

from __future__ import annotations

from collections.abc import Sequence

FIRST = ""  # stands for the network's first output


def labels_file(outputs: Sequence[str], output: str) -> str:
    """Name in a folder of samples. outputs: those that are named; output: one, or FIRST."""
    return f"evaluate_labels_{outputs.index(output)}.npy" if output else "evaluate_labels.npy"
