"""`./doit run`: doit's own. Its help tells of three options more, which cli takes before doit."""

from __future__ import annotations

from typing import Any

from doit import cmd_run

from pipelines.building.project import Project
from pipelines.files.engine import PREFIX
from pipelines.front.doit.turns import Control

_PULL = f"""

    npumake
      --pull
            fetch what the steps need and this machine lacks from the
            DVC remote first
      --rehash
            hash every file again, whatever its times and size say
      --cluster=ADDRESS
            run the steps on other machines: a scheduler's address, or
            local:N for N workers on this one ({PREFIX}docs/cluster.md)
"""


class Run(cmd_run.Run):  # type: ignore[misc]
    name = "run"
    project: Project

    def execute(self, params: Any, args: Any) -> Any:
        assert self.project.invocation.turns is not None  # cli makes them for every run
        Control.turns = self.project.invocation.turns
        cmd_run.TaskControl = Control  # the name by which doit makes it
        return super().execute(params, args)

    def help(self) -> str:
        return f"{super().help().rstrip()}{_PULL}"
