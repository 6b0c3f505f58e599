"""Which tests run on the same worker: those that share what is made once for several."""

from __future__ import annotations

from collections.abc import Container

import pytest

# Made once a file or a session, and so costly that two workers should not both make it.
_TOGETHER = ("module", "package", "session")
# Those take no time: a folder, a look at what is there.
_LIGHT = {"toolchain_python", "realworld", "tmp_path_factory", "fake_toolchain"}
# Fixtures that are one and the same in several files -> where their tests go.
_ACROSS_FILES = {"built_diseases": "built", "built_ultraface": "built"}
# After each test pytest-xdist 3.8.0 goes through all groups that it has given the worker: with a
# group a test that took as long as thousands of tests. A file's memory is made by one worker, too.
_SHORT = "-short"


def group(item: pytest.Item, slow: Container[str]) -> str | None:
    """The name of all tests that share fixtures with this one, or the group that it names itself,
    or that of the short ones of its file. None where it stands alone.

    slow: IDs of tests that take some seconds.
    """
    if mark := item.get_closest_marker("xdist_group"):
        return str(mark.args[0])
    return _sharing(item) or (None if item.nodeid in slow else f"{item.path.stem}{_SHORT}")


def is_short(group: str | None) -> bool:
    return group is not None and group.endswith(_SHORT)


def _sharing(item: pytest.Item) -> str | None:
    if not isinstance(item, pytest.Function):
        return None
    definitions = item._fixtureinfo.name2fixturedefs
    shared = {
        name
        for name, found in definitions.items()
        if found[-1].scope in _TOGETHER and name not in _LIGHT and found[-1].baseid
    }
    if not shared:
        return None
    if across := shared & _ACROSS_FILES.keys():
        return _ACROSS_FILES[min(across)]
    return "-".join([item.path.stem, *_wide_parameters(item)])


def _wide_parameters(item: pytest.Function) -> list[str]:
    """The values that make a shared fixture one of several."""
    call = getattr(item, "callspec", None)
    if call is None:
        return []
    return [
        str(call.params[name])
        for name, scope in sorted(call._arg2scope.items())
        if scope.value in _TOGETHER
    ]
