"""What a target of rknn is built for and with."""

from __future__ import annotations

from pipelines.backends.rknn.recipe import vendor
from pipelines.recipe.define.view import View
from pipelines.recipe.yaml.reading import BAD


def platform_of(view: View) -> str | None:
    """As the SDK calls it: written, or the target's name. None if the SDK does not know it."""
    named = view.own.get("platform") or view.name
    named = vendor.PLATFORM_ALIASES.get(named, named)
    return named if named in vendor.PLATFORMS else None


def toolchain_of(view: View) -> vendor.Toolchain | None:
    """The toolchain; None if its name was refused."""
    name = view.get("toolchain")
    return None if name is BAD else vendor.TOOLCHAINS[name]


def is_quantized(view: View) -> bool:
    """Whether the SDK calibrates. A dtype that was refused counts as quantized."""
    dtype = view.get("quantize", "dtype")
    return dtype is BAD or vendor.is_calibrated(dtype)


def require_extra(view: View, path: tuple[str, ...], extra: str, what: str) -> None:
    """Ask for a toolchain with `extra`: at the toolchain, if it is the target's own."""
    tools = toolchain_of(view)
    if tools is None or extra in tools.extras:
        return
    real = sorted(name for name, tools in vendor.TOOLCHAINS.items() if extra in tools.extras)
    what = f"{what} needs the real {extra}, which toolchain `{view.get('toolchain')}` lacks"
    advice = f"set `toolchain: {' or '.join(real)}` for target `{view.name}`"
    view.refuse(("toolchain",) if view.is_own("toolchain") else path, what, advice)
