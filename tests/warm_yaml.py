"""YAML that a DVC of this session has read before is not parsed again.

ruamel, in Python, takes three quarters of a `dvc status`, which reads a recipe once a section, and
a copied project's files are as often the same as not.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Parse = Callable[..., Any]


def install(folder: Path) -> None:
    """For DVC in this process. folder: where it is kept what was read; there already."""
    plain = sys.modules["dvc.utils.serialize._yaml"].parse_yaml
    parse = remembering(plain, folder)
    for module in list(sys.modules.values()):
        if getattr(module, "parse_yaml", None) is plain:
            module.parse_yaml = parse  # type: ignore[attr-defined]


def remembering(plain: Parse, folder: Path) -> Parse:
    """DVC's parse_yaml, which is a pure function of the text but for what it raises."""

    def parse(text: Any, path: Any, typ: str = "safe") -> Any:
        if typ != "safe" or not isinstance(text, str):
            return plain(text, path, typ)
        kept = folder / hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        try:
            return pickle.loads(kept.read_bytes())
        except OSError:
            found = plain(text, path, typ)
        part = kept.with_suffix(f".{os.getpid()}")
        try:
            part.write_bytes(pickle.dumps(found))
            part.replace(kept)
        except OSError:  # a disk that a test has filled
            pass
        return found

    return parse
