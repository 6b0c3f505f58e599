"""The stand-in for torch does what the SDK asks of it, and names what it can't."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STAND_IN = (
    Path(__file__).resolve().parent.parent / "pipelines" / "backends" / "rknn" / "torch_stand_in"
)


def run(code: str) -> str:
    """What a fresh Python with the stand-in on its path prints, or the last line of its error."""
    script = f"import sys; sys.path.insert(0, {str(STAND_IN)!r}); import torch\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    return (done.stdout or done.stderr.splitlines()[-1]).strip()


SPLITS = {
    "torch.split(torch.arange(10), [2, 3, 5])": "[[0, 1], [2, 3, 4], [5, 6, 7, 8, 9]]",
    "torch.split(torch.arange(10), 4)": "[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]",
    "torch.split(torch.arange(4), 4)": "[[0, 1, 2, 3]]",
    "torch.split(torch.arange(6).reshape(2, 3), [1, 2], dim=1)": "[[[0], [3]], [[1, 2], [4, 5]]]",
    "torch.split(torch.arange(4).reshape([2, 2]), [1, 1], dim=-1)": "[[[0], [2]], [[1], [3]]]",
    "[torch.cat([torch.arange(3), torch.arange(2)], dim=0)]": "[[0, 1, 2, 0, 1]]",
}


@pytest.mark.parametrize("expression", SPLITS)
def test_as_torch_does(expression: str) -> None:
    # Expected values are what torch 2.13 prints.
    assert run(f"print([part.tolist() for part in {expression}])") == SPLITS[expression]


def test_lengths_that_do_not_add_up() -> None:
    assert "do not add up to 4" in run("torch.split(torch.arange(4), [1, 2])")


@pytest.mark.parametrize("name", ["jit", "nn.Linear", "nn.functional.conv2d", "tensor"])
def test_anything_else_is_named(name: str) -> None:
    said = run(f"torch.{name}")
    assert f"`torch.{name}` was asked for" in said
    assert "rknn-2.5.0-torch" in said


def test_what_import_needs() -> None:
    code = """
@torch.no_grad()
def double(x): return 2 * x
class Quantizer(torch.nn.Module): pass
with torch.no_grad():
    print(double(2), isinstance(1, torch.Tensor), torch.__version__)
"""
    assert run(code) == "4 False 0.0.0+npumake.stand.in"
