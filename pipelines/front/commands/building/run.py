"""`./doit run`: doit's own. Its help tells of two options more, which cli takes before doit."""

from __future__ import annotations

from doit import cmd_run

_PULL = """

    npumake
      --pull
            fetch what the steps need and this machine lacks from the
            DVC remote first
      --rehash
            hash every file again, whatever its times and size say
"""


class Run(cmd_run.Run):  # type: ignore[misc]
    name = "run"

    def help(self) -> str:
        return f"{super().help().rstrip()}{_PULL}"
