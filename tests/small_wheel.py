"""A wheel of one module, made on the spot, and its pin."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

NAME, VERSION = "npumake-fixture", "1.0"
_INFO = "npumake_fixture-1.0.dist-info"


def make(folder: Path, body: str = "VALUE = 1\n") -> str:
    """Write the wheel into a folder. Returns its pin with its hash, a line for a toolchain."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "npumake_fixture-1.0-py3-none-any.whl"
    files = {
        "npumake_fixture/__init__.py": body,
        "npumake_fixture/more.py": "MORE = 2\n",
        f"{_INFO}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n",
        f"{_INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{name},{_digest(text)},{len(text)}" for name, text in files.items()]
    files[f"{_INFO}/RECORD"] = "".join(f"{row}\n" for row in [*rows, f"{_INFO}/RECORD,,"])
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{NAME}=={VERSION} \\\n    --hash=sha256:{digest}\n"


def _digest(text: str) -> str:
    found = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
    return f"sha256={found.decode()}"
