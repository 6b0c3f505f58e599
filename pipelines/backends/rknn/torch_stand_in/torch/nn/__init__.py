"""As much of torch.nn as `import rknn.api` needs: a base class, and a name for `functional`."""

from __future__ import annotations

from typing import Any


def missing(name: str) -> str:
    """What to say where something is asked for that the stand-in does not have."""
    return (
        f"`{name}` was asked for, but this toolchain has a stand-in for torch: "
        "use the toolchain `rknn-2.5.0-torch`, which has the real one"
    )


class Module:
    """Base class of the SDK's `gdq` quantizer, which only runs with the real torch."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        raise AttributeError(missing("torch.nn.Module"))


from . import functional as functional  # noqa: E402 - it needs `missing`


def __getattr__(name: str) -> Any:
    raise AttributeError(missing(f"torch.nn.{name}"))
