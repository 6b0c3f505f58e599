"""Which runtime a platform has, and what its hardware says of itself."""

from __future__ import annotations

MINIMAL = ("rv1103", "rv1103b", "rv1106", "rv1106b")
"""Theirs is librknnmrt, a 32-bit one, which no package has. The others' is librknnrt."""

UNKNOWN = ("rk2118",)
"""No runtime is known of these."""

# 0 is none; librknnrt 1.5.2 takes it for rk3566 and rk3568, and librknnmrt (1.6.0 to 2.3.2) any.
VERSIONS = {
    "rk3588": 0x46495245,
    "rk3562": 0x54524549,
    **dict.fromkeys(("rk3566", "rk3568"), 0),
    "rv1103": 0x54524545,
    "rv1106": 0x54524548,
    **dict.fromkeys(("rv1103b", "rv1106b"), 0),
}
"""What the hardware answers for its version, of the platforms that can be run."""
