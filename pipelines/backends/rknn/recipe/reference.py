"""What the SDK accepts, for docs/recipe.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipelines.backends.rknn.recipe import known_mistakes, vendor
from pipelines.backends.rknn.recipe.keys import DEFAULTS, RKNN
from pipelines.files.markdown import table


def text() -> str:
    """Markdown: what each version takes, and what people write by mistake."""
    return "\n".join((_sdk(), _mistakes()))


def _sdk() -> str:
    return "\n".join(
        (
            "## What the SDK accepts\n",
            "Measured with rknn-toolkit2, each version by itself.\n",
            table(("Toolchain", "Version", "with the real"), _toolchains()),
            table(("dtype", *(f"rknn-{v}" for v in vendor.VERSIONS)), _dtypes()),
            table(("Algorithm", "dtypes"), _by_dtype(vendor.ALGORITHMS.items())),
            table(("Method", "dtypes"), _by_dtype(vendor.METHODS.items())),
            "The algorithm `gdq` computes with torch, and so needs `rknn-2.5.0-torch`. It, the "
            f"methods `groupN` and `build: auto_hybrid` are in {_late()} alone.\n",
            table(("`load`", "Source", "SDK function", "Arguments"), _loaders()),
        )
    )


def _late() -> str:
    return " and ".join(f"rknn-{version}" for version in vendor.LATE_VERSIONS)


def _toolchains() -> Iterator[tuple[str, str, str]]:
    for name, tools in vendor.TOOLCHAINS.items():
        extras = ", ".join(tools.extras) or "none"
        mark = " (default)" if name == DEFAULTS["toolchain"] else ""
        known = tools.version == tools.measured
        yield f"`{name}`{mark}", tools.version + ("" if known else f", by {tools.measured}"), extras


def _dtypes() -> Iterator[tuple[str, ...]]:
    for dtype in vendor.ALL_DTYPES:
        yield f"`{dtype}`", *(_platforms(vendor.DTYPES[v].get(dtype)) for v in vendor.VERSIONS)


def _platforms(platforms: frozenset[str] | None) -> str:
    if platforms is None:
        return "no"
    missing = sorted(set(vendor.PLATFORMS) - platforms)
    if not missing:
        return "every platform"
    few = len(platforms) <= len(missing)
    return ", ".join(sorted(platforms)) if few else f"all but {', '.join(missing)}"


def _by_dtype(table: Iterable[tuple[str, frozenset[str]]]) -> Iterator[tuple[str, str]]:
    for name, dtypes in table:
        yield f"`{name}`", ", ".join(sorted(dtypes))


def _loaders() -> Iterator[tuple[str, str, str, str]]:
    for source, arguments in vendor.LOADERS.items():
        load = RKNN.defaults["load"] if source == "onnx" else "direct"
        kind = "any" if source == "onnx" else source
        yield f"`{load}`", kind, vendor.LOADER_NAMES[source], ", ".join(arguments)


def _mistakes() -> str:
    names = {
        **known_mistakes.NO_SUCH_OPTION,
        **{f"dtype: {k}": v for k, v in known_mistakes.DTYPES.items()},
    }
    rows = [(f"`{name}`", what, advice) for name, (what, advice) in names.items()]
    renamed = [(f"`{name}`", f"`{key}`") for name, key in known_mistakes.RENAMED.items()]
    return "\n".join(
        (
            "## Advice found in the wild\n",
            "These are refused, with what to do instead.\n",
            table(("Option", "What it is", "What to do"), rows),
            "The SDK's names for what a recipe calls otherwise:\n",
            table(("SDK", "Recipe"), renamed),
        )
    )
