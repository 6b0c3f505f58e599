"""The compiled network that a built file holds: the SDK simulates none that it reads from a file.

Where a job goes on in the process that build ran in, it is what build compiled; else it is compiled
again. Which of the two changes no byte of what is made with it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.backends.rknn.file import compiled_graph
from pipelines.backends.rknn.file.compiled_graph import CompiledFile
from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.sdk.compile import Compiled, compile_network
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from quant.sha256 import sha256_of

_OF_PARAMS = ("target", "platform", "source_kind", "inputs", "quantize", "build", "rknn")
_CONTROL = "compiler_control_file"


@dataclass(frozen=True)
class _Built:
    """compiled_from: see _facts. artifact: SHA-256 of the file.

    files: temporary ones of the SDK's, which names them by the working folder; path below it ->
    the file, which its folder's end leaves open.
    """

    compiled: Compiled
    compiled_from: dict[str, Any]
    artifact: str
    files: Mapping[str, BinaryIO]

    def lay_out(self, scratch: Path) -> None:
        """Have the files in another working folder."""
        for below, file in self.files.items():
            place = scratch / below
            place.parent.mkdir(parents=True, exist_ok=True)
            with file, place.open("wb") as copy:
                shutil.copyfileobj(file, copy, 1 << 20)


_kept: list[_Built] = []  # one, from build's end to the first job after it


def keep(job: Job[RknnParams], compiled: Compiled, artifact: Path) -> None:
    """What build has made, for a job that goes on in this process."""
    pattern = f"{tempfile.gettempprefix()}*/*"
    files = {
        file.relative_to(job.scratch).as_posix(): file.open("rb")
        for file in job.scratch.glob(pattern)
    }
    _kept[:] = [_Built(compiled, _facts(job), sha256_of(artifact), files)]


def compiled(job: Job[RknnParams]) -> tuple[Compiled, CompiledFile]:
    """Of in/artifact.rknn. Raises Refusal where that can't be made from the job's inputs."""
    if (found := _taken(job)) is not None:
        print("the network is in memory, as build has compiled it")
        found.sdk.log = ""  # build's: this job's refusals tell of what it does itself
        return found, compiled_graph.read(job.inputs["artifact.rknn"])
    again = compile_network(job, verbose=False)
    return again, _same_file(job, again)


def _taken(job: Job[RknnParams]) -> Compiled | None:
    """What build kept, if that is what this job would compile, and of the very same file."""
    if not _kept:
        return None
    held = _kept.pop()
    is_of_file = held.artifact == sha256_of(job.inputs["artifact.rknn"])
    if not (is_of_file and held.compiled_from == _facts(job)):
        return None
    held.lay_out(job.scratch)
    return held.compiled


def _facts(job: Job[RknnParams]) -> dict[str, Any]:
    """What decides of a job what the compiler makes, but for calibration data.

    Their digest is in the file, see pipelines.backends.rknn.sdk.origin.
    """
    names = ("quantize" if "quantize" in job.inputs else "model", _CONTROL)
    contents = {name: _content(job.inputs[name]) for name in names if name in job.inputs}
    return {"contents": contents, **{name: getattr(job.params, name) for name in _OF_PARAMS}}


def _content(path: Path) -> dict[str, str]:
    """Path below -> SHA-256; of a file itself, below it is `.`."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return {file.relative_to(path).as_posix(): sha256_of(file) for file in files}


def _same_file(job: Job[RknnParams], compiled: Compiled) -> CompiledFile:
    """The built file. Raises Refusal where compiling again made other layers."""
    again = job.scratch / "again.rknn"
    compiled.sdk.export(again)
    file = compiled_graph.read(job.inputs["artifact.rknn"])
    if compiled_graph.read(again) != file:
        raise Refusal(
            "compiling the network again, to analyze it, made other layers than the file has",
            "the file was made from something else: build it again",
        )
    again.unlink()
    return file
