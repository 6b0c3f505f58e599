"""./doit test: the test suite; arguments go on to pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from pipelines.files.engine import IS_PINNED
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit.cli import jobs_at_once
from pipelines.run.toolchain.toolchain import Environments, known

_MOST = 4  # workers; each may run several builds of the vendor's SDK


class Test(OwnCommand):
    name = "test"
    in_brief = "the test suite, on every core"
    doc_purpose = "run the tests, on every core; arguments go on to pytest"
    doc_usage = "[PYTEST ARGUMENTS]"

    def parse_execute(self, in_args: Sequence[str]) -> int:
        if in_args or IS_PINNED:  # a few tests make what they need themselves
            return _pytest(in_args)
        Environments(self.project.root).make(known(self.project.root))
        workers = min(_MOST, jobs_at_once())
        return _pytest(["-n", str(workers), "--dist", "loadgroup", "--no-loadscope-reorder"])


def _pytest(arguments: Sequence[str]) -> int:
    command = [sys.executable, "-m", "pytest", *arguments]
    environment = {**os.environ, "PYTHONNOUSERSITE": "1"}
    # Tests start ./doit some thousand times; compiling what it imports takes longer than the rest.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(command, env=environment).returncode
