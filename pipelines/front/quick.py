"""What needs neither doit nor the recipes, which take longer to import than all the rest."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pipelines.record import seal


def answer(root: str, arguments: Sequence[str]) -> None:
    """End the process if a seal tells the answer, or the command is to inspect files.

    Else tell what goes on from now on.
    """
    seal.tell_if_whole(root, arguments)
    if arguments[:1] == ["inspect"]:
        from pipelines.report import inspecting

        code = inspecting.main(arguments[1:])
        if code is not None:
            os._exit(code)  # each line is flushed, and taking all objects apart takes its time
    from pipelines.files import pulse

    pulse.begin()  # before the imports: on a busy machine they take long
