"""What the jobs that are imported by now are told: a millisecond each to read the annotations."""

from __future__ import annotations

import sys

from pipelines.run.jobs.decode import params_type, prepare

for _name, _module in [*sys.modules.items()]:
    if _name.startswith("pipelines.") and ".jobs." in _name and hasattr(_module, "run"):
        prepare(params_type(_module.run))
