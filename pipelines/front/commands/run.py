"""`./doit run`: doit's own. Its help tells of --pull too, which cli takes before doit reads it."""

from __future__ import annotations

from doit import cmd_run

_PULL = """

    npumake
      --pull
            fetch what the steps need and this machine lacks from the
            DVC remote first
"""


class Run(cmd_run.Run):  # type: ignore[misc]
    name = "run"

    def help(self) -> str:
        return f"{super().help().rstrip()}{_PULL}"
