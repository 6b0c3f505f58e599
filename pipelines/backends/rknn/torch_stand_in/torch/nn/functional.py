"""Nothing of torch.nn.functional: the SDK imports it and never calls it on the ONNX path."""

from __future__ import annotations

from typing import Any

from . import missing


def __getattr__(name: str) -> Any:
    raise AttributeError(missing(f"torch.nn.functional.{name}"))
