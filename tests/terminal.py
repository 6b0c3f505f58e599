"""What `./doit` prints on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tests import warm


def told(
    root: Path,
    words: Sequence[str],
    environment: Mapping[str, str],
    columns: int = 0,
    *,
    is_narrated: bool = True,
) -> str:
    """A run of this project that ends well. columns: the terminal's own, 0 for one that has none.

    is_narrated: whether stderr goes there too.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 0, columns, 0, 0))
    with Path(os.devnull).open("w") as nothing, os.fdopen(theirs, "wb", buffering=0) as terminal:
        err = terminal if is_narrated else nothing
        running = warm.front(root, words, err, out=terminal, environment=environment)
    with closing(running):
        found = b""
        try:
            while piece := os.read(ours, 65536):
                found += piece
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        assert running.wait(60) == 0, found.decode()
    return found.decode().replace("\r\n", "\n")
