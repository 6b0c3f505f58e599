"""dask.distributed, which only --cluster and ./doit worker import: it takes most of a second."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path
from typing import Any

from pipelines.run.toolchain.toolchain import Environments
from quant.fault import Fault

TOOLCHAIN = "cluster"


class ClusterError(Fault):
    """No step can run there: no scheduler, no worker, or a version that differs."""


def load(root: Path) -> Any:
    """The package `distributed`: .venv's own, or else the one of the toolchain `cluster`.

    Its folder goes behind .venv's, whose versions its pins share. Raises ToolchainError,
    ClusterError.
    """
    try:
        module = importlib.import_module("distributed")
    except ModuleNotFoundError:
        environments = Environments(root)
        environments.make([TOOLCHAIN])
        folder = environments.python(TOOLCHAIN).parent.parent
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        site = folder / "lib" / f"python{version}" / "site-packages"
        if not site.is_dir():
            what = f"toolchain {TOOLCHAIN} is of another Python than {version}, which runs this"
            advice = f"run: ./doit toolchains --remake {TOOLCHAIN}"
            raise ClusterError(what, advice) from None
        sys.path.append(str(site))
        module = importlib.import_module("distributed")
    # A process that was forked from one with it need not have its folder there.
    if (folder_of := str(Path(module.__file__ or "").parents[1])) not in sys.path:
        sys.path.append(folder_of)
    for name in ("distributed", "distributed.core", "distributed.worker", "distributed.scheduler"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters of it, we say
    return module


def with_scheme(address: str) -> str:
    """`10.0.0.1:8786` as dask writes it."""
    return address if "://" in address else f"tcp://{address}"
