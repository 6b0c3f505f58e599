"""Bytes for people."""

from __future__ import annotations


def quantity(size_bytes: int) -> str:
    """Bytes for people: 812 B, 3.2 KB, 40.2 MB (decimal, as file managers and the SDK's docs)."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    value, unit = size_bytes / 1000, "KB"
    for larger in ("MB", "GB"):
        if value >= 999.5:
            value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"
