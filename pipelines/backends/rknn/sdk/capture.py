"""Reading what native code prints, without keeping it from the step's log."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OUTPUTS = (1, 2)  # stdout and stderr, below Python's objects of that name


class Captured:
    """`text` is what was printed inside the `with` block; it is set when the block ends."""

    text = ""


@contextmanager
def captured() -> Iterator[Captured]:
    """Notice everything that this process prints to stdout and stderr inside the block.

    A worker sends both to one log file; what is added to that file is read back, so the log holds
    everything in time even where the SDK crashes. Anything else (a terminal, a pipe) is diverted to
    `sdk.log` in the current folder, and copied on when the block ends.
    """
    found = Captured()
    _flush()
    if _is_one_file():
        start = os.fstat(1).st_size
        try:
            yield found
        finally:
            _flush()
            found.text = _read(Path("/proc/self/fd/1"), start)
    else:
        with _diverted(Path("sdk.log"), found):
            yield found


def _is_one_file() -> bool:
    stdout, stderr = (os.fstat(descriptor) for descriptor in OUTPUTS)
    is_file = (stdout.st_mode & 0o170000) == 0o100000
    return is_file and os.path.samestat(stdout, stderr)


@contextmanager
def _diverted(file: Path, found: Captured) -> Iterator[None]:
    kept = [os.dup(descriptor) for descriptor in OUTPUTS]
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    start = os.fstat(log).st_size
    try:
        for descriptor in OUTPUTS:
            os.dup2(log, descriptor)
        yield
    finally:
        _flush()
        for descriptor, original in zip(OUTPUTS, kept, strict=True):
            os.dup2(original, descriptor)
            os.close(original)
        os.close(log)
        found.text = _read(file, start)
        sys.stderr.write(found.text)
        _flush()


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)  # C's own buffer, which Python's flush does not reach


def _read(file: Path, start: int) -> str:
    with file.open("rb") as log:
        log.seek(start)
        return log.read().decode(errors="replace")
