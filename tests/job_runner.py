"""Runs single jobs: in this process, or in a toolchain through the project's own fork server."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pipelines.run.jobs.decode import decoded, params_type
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.run.toolchain.toolchain import load
from quant.fault import Fault
from tests import warm_toolchains
from tests.conftest import ROOT


def source(kind: str, file: str, **given: Any) -> dict[str, Any]:
    """A recipe's Source as JSON data."""
    usual: dict[str, Any] = {
        "function": None,
        "weights": None,
        "arguments": {},
        "exporter": "torchscript",
    }
    return {"kind": kind, "file": file, **usual, "opset": 15, "dependencies": [], **given}


def recipe_input(shape: list[int] | None = None, dtype: str = "float32", **given: Any) -> Any:
    """A recipe's Input as JSON data."""
    return {"shape": shape, "dtype": dtype, **given}


# As pipelines.run.worker sets it, but for the seed of hashes: nothing may depend on it.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "PYTHONUNBUFFERED": "1",
    "PYTHONHASHSEED": "random",
    "OMP_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


@dataclass(frozen=True)
class Work:
    """One working folder. inputs: name in the job -> path below it."""

    folder: Path
    inputs: dict[str, str]

    @classmethod
    def lay_out(cls, folder: Path, files: Mapping[str, Path]) -> Work:
        """Link `files`, by their name in the job, as pipelines.run.worker does."""
        (folder / "out").mkdir(parents=True)
        inputs = {}
        for name, path in files.items():
            has_ending = Path(name).suffix or "/" in name
            below = Path("in", name if has_ending else name + path.suffix)
            (folder / below).parent.mkdir(parents=True, exist_ok=True)
            (folder / below).symlink_to(path.resolve())
            inputs[name] = below.as_posix()
        return cls(folder, inputs)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def json(self, name: str) -> Any:
        return json.loads((self.out / name).read_text())


@dataclass(frozen=True)
class Told:
    """What a job that could not go on said; empty where it succeeded."""

    what: str = ""
    advice: str = ""


# Runs any module with `run(job)`.
Run = Callable[[Work, str, Mapping[str, Any]], Told]


def run_here(work: Work, module: str, params: Mapping[str, Any]) -> Told:
    """Run a job in this process. Errors other than a job's own go on."""
    before = Path.cwd()
    os.chdir(work.folder)
    try:
        inputs = {name: Path(path) for name, path in work.inputs.items()}
        work_of = import_module(module).run
        given = decoded(params_type(work_of), json.loads(json.dumps(params)))
        work_of(Job(given, inputs, Path("out"), Path()))
    except (Refusal, Fault) as error:
        return Told(error.what, error.advice)
    finally:
        os.chdir(before)
    return Told()


class ToolchainJobs:
    """Jobs in a toolchain's fork server, one after the other."""

    def __init__(
        self, python: Path, preload: tuple[str, ...], log: Path, paths: Iterable[Path] = ()
    ) -> None:
        self._log = log
        self._numbers = itertools.count()
        settings = json.dumps({"paths": [*map(str, paths), str(ROOT)], "preload": preload})
        self._process = subprocess.Popen(
            [str(python), "-s", str(ROOT / "pipelines" / "run" / "fork_server.py"), settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            env=ENVIRONMENT,
            text=True,
        )
        self._next_event("ready")

    @classmethod
    def start(
        cls, name: str, request: pytest.FixtureRequest, log: Path, *, is_new: bool = True
    ) -> ToolchainJobs:
        """The toolchain's server: of the interpreter that NPUMAKE_TORCH_PYTHON (and the like)
        names where set, else of the project's own.

        is_new: not a fork of one that has started already, whose seed of hashes is 0.
        """
        python = os.environ.get(f"NPUMAKE_{re.sub('[-.]', '_', name.upper())}_PYTHON")
        if not python:
            made: Path = request.getfixturevalue("toolchain_python")[name]
            python = str(made if is_new else warm_toolchains.home().joinpath(*made.parts[-3:]))
        told = load(ROOT, name)
        return cls(Path(python), told.preload, log, [ROOT / path for path in told.paths])

    def __call__(
        self,
        work: Work,
        module: str,
        params: Mapping[str, Any],
        log: Path | None = None,
        process: Mapping[str, str] | None = None,
    ) -> Told:
        """Run a job. Fails the test where the job died or raised anything but a job's own error.

        process: `keep_as` or `goes_on_in`: a name for the job's process.
        """
        log = log or self._log
        order = {
            "number": next(self._numbers),
            "module": module,
            "params": params,
            "inputs": work.inputs,
            "folder": str(work.folder),
            "log": str(log),
            **(process or {}),
        }
        assert self._process.stdin is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        if self._next_event("ended")["status"] == 0:
            return Told()
        refusal = work.folder / "refusal.json"
        assert refusal.is_file(), f"it died\n{log.read_text()[-3000:]}"
        told = json.loads(refusal.read_text())
        assert told["is_refusal"], f"{told['what']}\n{log.read_text()[-3000:]}"
        return Told(told["what"], told["advice"])

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _next_event(self, kind: str) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._log.read_text()[-3000:]
        event = json.loads(line)
        assert event["event"] == kind
        return event


def jobs_of(toolchain: str) -> Any:
    """The fixture `jobs` of a test file: the toolchain's server, for all of the file's tests."""

    @pytest.fixture(scope="module", name="jobs")
    def serve(
        request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[ToolchainJobs]:
        log = tmp_path_factory.mktemp(toolchain) / "log"
        server = ToolchainJobs.start(toolchain, request, log, is_new=False)
        yield server
        server.close()

    return serve
