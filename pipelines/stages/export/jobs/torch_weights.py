"""Loading safetensors weights into a torch module, every key accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pipelines.run.jobs.refusal import Refusal
from quant.nearest import nearest

_AS_SAFETENSORS = "safetensors.torch.save_file(network.state_dict(), 'weights.safetensors')"


def load_weights(network: nn.Module, file: Path, name: str) -> None:
    """Load a safetensors file strictly. name: what messages call it.

    Raises Refusal on a file of another kind, on missing, unexpected and misshapen tensors. Keys
    that safetensors drops because their tensor is shared with another key's (tied weights) are
    not missing.
    """
    tensors = _read(file, name)
    state = network.state_dict()
    missing = sorted(set(state) - set(tensors) - _tied(state, tensors))
    unexpected = sorted(set(tensors) - set(state))
    if missing or unexpected:
        raise Refusal(
            f"the keys of `{name}` are not those of the network\n" +
            "\n".join([*_listed("missing", missing, unexpected), *_listed("unexpected",
            unexpected, missing)]), f"save them with {_AS_SAFETENSORS}, or rename the keys",
        )  # fmt: skip
    for key, tensor in tensors.items():
        if tensor.shape != state[key].shape:
            raise Refusal(
                f"`{key}` has the shape {list(tensor.shape)} in `{name}`, "
                f"{list(state[key].shape)} in the network",
                "check `source.arguments`: the weights are those of another configuration",
            )
    network.load_state_dict(tensors, strict=False)


def _read(file: Path, name: str) -> dict[str, torch.Tensor]:
    if not file.is_file():
        raise Refusal(f"`{name}` does not exist", "correct `source.weights`, or put the file there")
    with file.open("rb") as data:
        start = data.read(9)
    if not start:
        raise Refusal(f"`{name}` is empty", "copy or download it again")
    # safetensors starts with the length of its header, which can look like a pickle's first bytes.
    if start.startswith((b"PK", b"\x80")) and start[8:] != b"{":
        raise Refusal(
            f"`{name}` is a pickle (torch.save), which runs code when it is loaded",
            f"save it once as safetensors: {_AS_SAFETENSORS}",
        )
    try:
        tensors: dict[str, torch.Tensor] = load_file(file)
    except SafetensorError as error:
        raise Refusal(
            f"`{name}` is no safetensors file, or is cut short: {error}",
            "copy or download it again",
        ) from error
    return tensors


def _tied(state: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor]) -> set[str]:
    """Keys of the network whose tensor is the same memory as a loaded key's."""
    loaded = {_memory(state[key]) for key in tensors if key in state}
    return {key for key, tensor in state.items() if _memory(tensor) in loaded}


def _memory(tensor: torch.Tensor) -> tuple[int, torch.Size, tuple[int, ...]]:
    # Empty tensors all have address 0.
    address = tensor.data_ptr() or id(tensor)
    return address, tensor.shape, tensor.stride()


def _listed(noun: str, keys: list[str], others: list[str], most: int = 5) -> list[str]:
    lines = []
    for key in keys[:most]:
        near = nearest(key, others)
        lines.append(f"{noun}: {key}" + (f" (nearest of the others: {near})" if near else ""))
    if len(keys) > most:
        lines.append(f"{noun}: and {len(keys) - most} more")
    return lines
