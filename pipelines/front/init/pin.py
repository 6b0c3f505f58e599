"""The line of npumake.txt: which engine a repository runs, and what its bytes are held against."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from quant.fault import Fault

FILE = "npumake.txt"
WHEELS = "wheels"  # a repository's folder for the engine's wheel
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
_GIT = re.compile(r"git\+\S+@[0-9a-f]{40}(#\S+)?")
_SAY = "give the wheel, or what to pin: npumake init DIR --engine FILE.whl"


class PinError(Fault):
    """There is nothing to pin."""


@dataclass(frozen=True)
class Source:
    """line: for npumake.txt. wheel: a file to copy to `WHEELS`, if the line names it there."""

    line: str
    wheel: Path | None = None


def told(words: str) -> Source:
    """Of `--engine`: a wheel's path, or a whole line. Raises PinError, OSError."""
    words = " ".join(words.split())
    if _GIT.fullmatch(words):
        return Source(words)
    if words.startswith("git+"):
        raise PinError(f"`{words}` names no commit", "write it whole: git+URL@ and 40 hex digits")
    place, _, digest = words.partition(" ")
    if "://" not in place:
        return _of_file(Path(place).expanduser(), digest)
    if not _HASH.fullmatch(digest):
        raise PinError(
            f"`{words}` has no hash", "write --hash=sha256:... after it; sha256sum FILE prints it"
        )
    return Source(words)


def installed() -> Source:
    """What this npumake was installed from, as its installer noted (PEP 610)."""
    try:
        text = metadata.distribution("npumake").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        text = None
    if text is None:
        raise PinError("this npumake does not know what it was installed from", _SAY)
    noted = json.loads(text)
    url = str(noted["url"])
    if "vcs_info" in noted:
        return Source(f"{noted['vcs_info']['vcs']}+{url}@{noted['vcs_info']['commit_id']}")
    digest = _noted_hash(noted.get("archive_info", {}))
    if url.startswith("file:"):
        return _of_file(Path(unquote(urlsplit(url).path)), digest)
    if not digest:
        raise PinError(
            f"installed from {url}, without a hash",
            f"give it: npumake init DIR --engine '{url} --hash=sha256:...'",
        )
    return Source(f"{url} {digest}")


def _noted_hash(archive: dict[str, Any]) -> str:
    found = archive.get("hashes", {}).get("sha256")
    return f"--hash=sha256:{found}" if found else ""


def _of_file(wheel: Path, digest: str) -> Source:
    """digest: what its bytes must have; empty where nobody said."""
    if wheel.is_dir():
        raise PinError(
            f"{wheel} is a folder, no wheel\n  make one: pip wheel --no-deps {wheel}\n  {_SAY}"
        )
    if not wheel.is_file():
        raise PinError(f"no file {wheel}", _SAY)
    found = f"--hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
    if digest and digest != found:
        raise PinError(f"{wheel} is not the wheel that was meant: {found}", _SAY)
    return Source(f"{WHEELS}/{wheel.name} {found}", wheel)
