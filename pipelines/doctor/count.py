"""How many samples there are to calibrate on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.recipe.define.model import Recipe, Target
from pipelines.stages.stage import in_folder
from quant.samples.dataset import list_entries


def available(root: Path, recipe: Recipe, target: Target) -> int | None:
    """Of what the target calibrates on; None where the files do not say."""
    data = target.calibration
    if data is None:
        return None
    if data.list is not None:
        return len(list_entries(root / in_folder(recipe, data.list)))
    # numpy and Pillow take a while to import, and only this needs them here.
    from quant.samples.images.images import list_images

    if data.images is not None:
        return len(list_images(root / in_folder(recipe, data.images), data.images))
    if data.npy is None or isinstance(data.npy, Mapping) or len(data.npy) > 1:
        return None
    import numpy as np

    (file,), (given, *_) = data.npy, recipe.inputs.values()
    array = np.load(root / in_folder(recipe, file), mmap_mode="r", allow_pickle=False)
    if given.shape is None or array.ndim < len(given.shape):
        return None
    return int(
        array.shape[0] if array.ndim > len(given.shape) else array.shape[0] // given.shape[0]
    )
