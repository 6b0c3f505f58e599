"""What of a machine may decide how a float is rounded, and is in no pin."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

# Vector instructions that numeric libraries choose their kernels by.
_VECTORS = ("sse4_2", "avx", "f16c", "fma", "avx2", "avx512f", "avx512_vnni", "avx512_bf16")
_VECTORS_ARM = ("asimd", "asimddp", "i8mm", "bf16", "sve", "sve2")


def machine() -> dict[str, str]:
    """Processor, its vector instructions, C library and Python."""
    told = _cpuinfo()
    flags = (told.get("flags") or told.get("Features") or "").split()
    return {
        "machine": platform.machine(),
        "processor": told.get("model name") or told.get("CPU part") or "not known",
        "vectors": " ".join(name for name in (*_VECTORS, *_VECTORS_ARM) if name in flags),
        "libc": os.confstr("CS_GNU_LIBC_VERSION") or "not known",
        "python": platform.python_version(),
    }


def _cpuinfo() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    rows = re.findall(r"^([^:\n\t]+)\t*: (.*)$", text.split("\n\n")[0], re.M)
    return {name.strip(): value for name, value in rows}
