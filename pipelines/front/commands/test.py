"""./doit test: the test suite; arguments go on to pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from pipelines.front.commands.command import OwnCommand
from pipelines.project import CURRENT
from pipelines.toolchain import Environments, known


class Test(OwnCommand):
    name = "test"
    doc_purpose = "run the tests; arguments go on to pytest"
    doc_usage = "[PYTEST ARGUMENTS]"

    def parse_execute(self, in_args: Sequence[str]) -> int:
        Environments(CURRENT.root).make(known(CURRENT.root))
        command = [sys.executable, "-m", "pytest", *in_args]
        return subprocess.run(command, env={**os.environ, "PYTHONNOUSERSITE": "1"}).returncode
