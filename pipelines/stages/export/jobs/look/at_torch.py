"""look at a torch network (toolchain torch): what its inputs may be, found by running it.

A torch network says neither names nor shapes of what it takes. Names are forward's; a shape is
what the network tells of itself (timm's default_cfg, Lightning's example_input_array), or else a
size that it can be run with.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.export.jobs.look.seen import Look
from pipelines.stages.export.jobs.params import LookParams
from pipelines.stages.export.jobs.torch_network import load_network

# From the most usual on; all are tried, as the only one that fits is no guess.
_SIZES = (224, 320, 256, 160, 128, 96, 64, 48, 32, 28)


def run(job: Job[LookParams]) -> None:
    torch.set_num_threads(1)
    network = load_network(job)
    names = _names(network)
    look = Look({}, f"run by torch {torch.__version__}")
    told = {name: list(shape) for name, shape in job.params.shapes.items()}
    if told:
        given = {name or names[0]: shape for name, shape in told.items()}
        look.inputs = {name: {"shape": shape, "dtype": "float32"} for name, shape in given.items()}
        look.shape_reasons = {name: {"reason": "as you gave it"} for name in given}
    else:
        if len(names) != 1:
            raise Refusal(
                f"the network takes {len(names)} inputs ({', '.join(names)}), and torch does not "
                "say their shapes",
                "give each: --shape NAME=1,3,224,224, in this order",
            )
        shape, reason = _shape(network)
        look.inputs = {names[0]: {"shape": shape, "dtype": "float32"}}
        look.shape_reasons[names[0]] = reason
    _tell_pixels(look, network)
    look.save(job)


def _names(network: nn.Module) -> list[str]:
    """forward's arguments that must be given."""
    if isinstance(network, torch.jit.ScriptModule):
        arguments = network.forward.schema.arguments[1:]
        return [each.name for each in arguments if not each.has_default_value()]
    return [
        name
        for name, each in inspect.signature(network.forward).parameters.items()
        if each.default is each.empty and each.kind is not each.VAR_KEYWORD
    ]


def _shape(network: nn.Module) -> tuple[list[int], dict[str, Any]]:
    config = _config(network)
    if size := config.get("input_size"):
        return [1, *size], {"reason": "input_size of the network's default_cfg"}
    example = getattr(network, "example_input_array", None)
    if isinstance(example, torch.Tensor):
        return list(example.shape), {"reason": "the network's example_input_array"}
    return _tried(network)


def _tried(network: nn.Module) -> tuple[list[int], dict[str, Any]]:
    first = _first_layer(network)
    if first is None:
        raise Refusal("what the network takes can't be told from its layers", _GIVE)
    channels, is_picture = first
    if not is_picture:
        if _runs(network, [1, channels]):
            return [1, channels], {"reason": f"its first layer takes {channels} numbers"}
        raise Refusal(f"the network does not run on [1, {channels}]", _GIVE)
    fits = [size for size in _SIZES if _runs(network, [1, channels, size, size])]
    if not fits:
        tried = ", ".join(map(str, _SIZES))
        raise Refusal(f"the network runs on no square picture of {tried}", _GIVE)
    shape = [1, channels, fits[0], fits[0]]
    if len(fits) == 1:
        return shape, {"reason": f"of {len(_SIZES)} sizes tried, the only one it runs on"}
    others = ", ".join(map(str, fits[1:]))
    return shape, {"reason": f"it runs on {others} too", "is_guessed": True}


_GIVE = "give the shape: --shape 1,3,HEIGHT,WIDTH"


def _first_layer(network: nn.Module) -> tuple[int, bool] | None:
    """Channels of the first layer with weights, and whether it takes pictures."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels, True
        if isinstance(module, nn.Linear):
            return module.in_features, False
    for weights in network.parameters():  # TorchScript keeps no classes
        if weights.dim() in (2, 4):
            return int(weights.shape[1]), weights.dim() == 4
    return None


def _runs(network: nn.Module, shape: list[int]) -> bool:
    try:
        with torch.no_grad():
            network(torch.zeros(shape))
    except Exception:  # whatever a network raises for a size that is not its own
        return False
    return True


def _config(network: nn.Module) -> dict[str, Any]:
    for name in ("pretrained_cfg", "default_cfg"):  # timm's
        found = getattr(network, name, None)
        if isinstance(found, dict):
            return found
    return {}


def _tell_pixels(look: Look, network: nn.Module) -> None:
    config = _config(network)
    if "mean" in config and "std" in config:
        look.pixels = {
            "mean": [round(255 * float(value), 3) for value in config["mean"]],
            "std": [round(255 * float(value), 3) for value in config["std"]],
            "color": "rgb",
            "reason": "mean and std of the network's default_cfg, in pixels of 0..255",
        }
