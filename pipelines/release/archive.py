"""Writing an archive whose bytes hang on nothing but its members and their time."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from pipelines.files import unfinished

_LEVEL = 6  # of zlib; its bytes may differ between zlib and zlib-ng


def write(place: Path, top: str, members: Mapping[str, Path | bytes], time: int) -> None:
    """members: path below the folder `top` -> a file, or what it holds. time: in Unix seconds.

    Sorted, owned by nobody, no name and time in gzip's header. In place only when it is whole.
    """
    with unfinished.folder_in(place.parent) as folder:
        made = folder / place.name
        with made.open("wb") as file:
            # 0 in the header: GzipFile's own default is the present time.
            with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
                _write(packed, top, members, time)
            file.flush()
            os.fsync(file.fileno())
        made.chmod(0o644)
        os.replace(made, place)


def _write(packed: gzip.GzipFile, top: str, members: Mapping[str, Path | bytes], time: int) -> None:
    with tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(members):
            content = members[name]
            with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
                told = tarfile.TarInfo(f"{top}/{name}")
                told.size = file.seek(0, os.SEEK_END)
                file.seek(0)
                told.mtime, told.mode = time, 0o644
                tar.addfile(told, file)
