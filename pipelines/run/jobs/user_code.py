"""Running the user's own Python: importing it from the working folder, and telling its errors."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from pipelines.run.jobs.refusal import Refusal


def load_module(file: Path, folder: Path, name: str) -> ModuleType:
    """Import a file. folder: stands for the model's folder; modules below it can be imported.

    name: what messages call the file. Raises Refusal on whatever goes wrong in it.
    """
    if not file.is_file():
        raise Refusal(f"`{name}` does not exist", "correct the name, or put the file there")
    folder = folder.absolute()
    _require_free_names(folder)
    # The links in the working folder are read only, and its content must not depend on who ran
    # first.
    sys.dont_write_bytecode = True
    sys.path[:0] = dict.fromkeys([str(file.absolute().parent), str(folder)])
    stem = file.stem if file.stem not in sys.modules else f"source_{file.stem}"
    spec = importlib.util.spec_from_file_location(stem, file.absolute())
    if spec is None or spec.loader is None:
        raise Refusal(f"`{name}` is no Python file", "name it `something.py`")
    module = importlib.util.module_from_spec(spec)
    sys.modules[stem] = module
    with errors_told(folder, f"importing `{name}` failed"):
        spec.loader.exec_module(module)
    return module


def _require_free_names(folder: Path) -> None:
    """A user's `quant.py` would never be found: npumake's own is imported already."""
    for file in sorted(folder.glob("*.py")):
        if file.stem in ("pipelines", "quant"):
            raise Refusal(
                f"`{file.name}` has the name of a package of npumake, which is imported instead",
                "rename it",
            )


@contextmanager
def errors_told(folder: Path, what: str) -> Iterator[None]:
    """Turn any error of the user's code into a Refusal that names its file, line and message."""
    try:
        yield
    except Refusal:
        raise
    except (Exception, SystemExit) as error:
        place = _place(error, folder.absolute())
        told = f"{what}{place}\n{type(error).__name__}: {_brief(error)}"
        raise Refusal(told, _advice(error)) from error


def _place(error: BaseException, folder: Path) -> str:
    """` at net.py:12 in forward: y = f(x)`: the innermost line of the user's own."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {_relative(error.filename, folder) or error.filename}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if (file := _relative(frame.filename, folder)) is not None:
            return f" at {file}:{frame.lineno} in {frame.name}: {frame.line}"
    return ""


def _relative(file: str, folder: Path) -> str | None:
    path = Path(file)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None


def _brief(error: BaseException, most: int = 3) -> str:
    """The message's first lines."""
    lines = [line.rstrip() for line in str(error).strip().splitlines() if line.strip()]
    return "\n".join(lines[:most]) or "(no message)"


def _advice(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return (
            f"if `{error.name}` is a file of the model's folder, add it to `source.dependencies`; "
            "packages other than the toolchain's cannot be imported"
        )
    if isinstance(error, ImportError):
        return "add every file of the model's folder that is imported to `source.dependencies`"
    if isinstance(error, FileNotFoundError):
        return (
            "add the file to `source.dependencies` and open it relative to `__file__`: "
            "a step runs in a folder of its own"
        )
    return ""
