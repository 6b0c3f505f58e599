"""A job that makes TorchScript and weight files, in the torch toolchain."""

from __future__ import annotations

import torch
from safetensors.torch import save_file

from pipelines.run.jobs.job import Job, NoParams
from tests import torch_nets


def run(job: Job[NoParams]) -> None:
    torch.manual_seed(7)
    image = torch.randn(1, 3, 8, 8)
    for name in ("View", "Interpolate", "Pool1d", "Boxed"):
        network = getattr(torch_nets, name)().eval()
        torch.jit.trace(network, image, strict=False).save(str(job.out / f"{name}_traced.pt"))
        if name != "Boxed":
            torch.jit.script(network).save(str(job.out / f"{name}_scripted.pt"))
    state = torch_nets.View().state_dict()
    torch.save(state, job.out / "checkpoint.pt")
    state["conv.bias"] = torch.full((4,), 0.25)
    save_file(state, job.out / "view.safetensors")
    renamed = {key.replace("linear", "linaer"): value for key, value in state.items()}
    save_file(renamed, job.out / "renamed.safetensors")
    save_file({**state, "linear.weight": torch.zeros(5, 99)}, job.out / "misshapen.safetensors")
    prefixed = {f"module.{key}": value for key, value in state.items()}
    save_file(prefixed, job.out / "prefixed.safetensors")
    tied = torch_nets.Tied().state_dict()
    del tied["two.weight"]
    save_file(tied, job.out / "tied.safetensors")
    whole = (job.out / "view.safetensors").read_bytes()
    (job.out / "cut.safetensors").write_bytes(whole[:-9])
