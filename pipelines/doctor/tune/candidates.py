"""Which tensors of a network can be asked to be float16, before anything is simulated."""

from __future__ import annotations

from pathlib import Path

from pipelines.recipe.define.model import Recipe, Target
from pipelines.stages.stage import built


def tensors(root: Path, recipe: Recipe, target: Target) -> list[str]:
    """All that operators make in int8, but those that take the network's inputs in."""
    # onnx takes half a second to import, and only this needs it here.
    from quant.graph.file import read
    from quant.simulation import parameters
    from quant.simulation.copies import CONVERT
    from quant.simulation.mixed import INT8_ONLY

    folder = root / built(recipe, f"{target.name}/quantize")
    held = parameters.read((folder / "model.quantization.cfg").read_text())
    return [
        name
        for node in read(folder / "model.model").graph.node
        if node.op_type not in (CONVERT, *INT8_ONLY)
        for name in node.output
        if name in held and held[name].dtype == "int8"
    ]
