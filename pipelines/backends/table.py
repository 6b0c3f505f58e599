"""All backends, by name. A new one is a folder here, and an entry; the first is the default."""

from __future__ import annotations

from pipelines.backends.fixed_point.backend import FIXED_POINT
from pipelines.backends.rknn.backend import RKNN
from pipelines.recipe.define.definitions import Definitions
from pipelines.stages.backend import Backend

_ALL = (RKNN, FIXED_POINT)
BACKENDS: dict[str, Backend] = {backend.keys.name: backend for backend in _ALL}
DEFINITIONS = Definitions(backend.keys for backend in _ALL)
