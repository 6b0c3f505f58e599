"""What front and worker say to each other of a step: JSON, judged by whoever reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.files.confined import (
    Refused,
    require_apart,
    require_below,
    require_count,
    require_md5,
)
from pipelines.record.step import Step, Work

Files = Mapping[str, tuple[str, int]]  # path below a folder, `` for a file itself -> MD5, bytes
AT_HOME = frozenset({"runtime"})  # stages that need what ./doit fetches for this machine
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")
_JOB = re.compile(r"pipelines(?:\.[a-z0-9_]+)*\.jobs(?:\.[a-z0-9_]+)+")


@dataclass(frozen=True)
class Order:
    """A step to run. inputs: name -> path below the working folder, and the files there.

    outputs: names below the job's `out/`. manifests: toolchain -> digest, "" where the front has
    not made it. log: where the front keeps the log, below its project.
    """

    model: str
    stage: str
    target: str | None
    folder: str
    inputs: Mapping[str, tuple[str, Files]]
    outputs: tuple[str, ...]
    work: tuple[Work, ...]
    limit_s: float | None
    log: str
    manifests: Mapping[str, str]

    @property
    def text(self) -> str:
        return json.dumps({**vars(self), "work": [vars(work) for work in self.work]})

    @property
    def step(self) -> Step:
        """For Worker.run, which looks for inputs below a folder of the order's own."""
        return Step(
            model=self.model,
            stage=self.stage,
            target=self.target,
            folder=self.folder,
            inputs={name: path for name, (path, _) in self.inputs.items()},
            outputs={name: name for name in self.outputs},
            sections={},
            version_key=self.stage,
            version=0,
            toolchains=tuple(self.manifests),
            work=lambda: self.work,
            limit_s=self.limit_s,
        )


def read_order(text: str) -> Order:
    """Raises Refused."""
    try:
        told = json.loads(text)
        work = tuple(Work(**each) for each in told.pop("work"))
        inputs = {
            n: (require_below(p), read_files(files)) for n, (p, files) in told["inputs"].items()
        }
        order = Order(**{**told, "work": work, "inputs": inputs, "outputs": tuple(told["outputs"])})
        require_below(order.log)
        names = [order.model, order.stage, *([] if order.target is None else [order.target])]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Refused(f"it is no order ({error})") from None
    require_apart([require_below(name) for name in order.outputs])
    require_apart({path for path, _ in inputs.values()})
    for name in inputs:
        require_below(name)
    for name in names:
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            raise Refused(f"{name!r} is no name")
    for each in work:
        if not _JOB.fullmatch(each.module):
            raise Refused(f"`{each.module}` is no job")
    return order


@dataclass(frozen=True)
class Reply:
    """What became of an order; one of the first five is told.

    refused: why this worker must not run it. lacks: MD5s that the worker has to be given first.
    failed, cure: the step's own failure. outputs: name -> its files.
    """

    refused: str | None = None
    lacks: tuple[str, ...] = ()
    failed: str | None = None
    is_stopped: bool = False
    outputs: Mapping[str, Files] | None = None
    cure: Mapping[str, Any] | None = None
    manifests: Mapping[str, str] | None = None
    log: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def text(self) -> str:
        return json.dumps(vars(self))


def read_reply(text: str) -> Reply:
    """Raises Refused."""
    try:
        told = json.loads(text)
        if told["outputs"] is not None:
            told["outputs"] = {
                require_below(name): read_files(files) for name, files in told["outputs"].items()
            }
        told["lacks"] = tuple(require_md5(md5, of_folder=False) for md5 in told["lacks"])
        require_count(told["peak_bytes"])
        told["seconds"] = float(told["seconds"])
        return Reply(**told)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Refused(f"its answer is none ({error})") from None


def read_files(told: Mapping[str, Any]) -> Files:
    """Raises Refused on paths that are not below the folder, and on what is no MD5 or size."""
    files = {
        path and require_below(path): (require_md5(md5, of_folder=False), require_count(size))
        for path, (md5, size) in told.items()
    }
    if "" in files and len(files) > 1:
        raise Refused("it is a file and a folder")
    require_apart(files)
    return files
