"""libyaml's syntax errors: where, what, and what to do."""

from __future__ import annotations

import yaml

from pipelines.files.engine import PREFIX
from pipelines.files.where import Problem, Where


def syntax_problem(error: yaml.MarkedYAMLError, text: str, name: str) -> Problem:
    """The error in a recipe's words. text: the file. name: the file as messages name it."""
    mark = error.problem_mark or error.context_mark
    where = Where(name, mark.line + 1, mark.column + 1) if mark else Where(name, 1, 1)
    lines = text.split("\n")
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    found = line[mark.column : mark.column + 1] if mark else ""
    if found == "\t":
        return Problem(where, "a tab can't indent YAML", "use spaces")
    what = f"not YAML: {(error.problem or 'unreadable').removeprefix('but ')}"
    if error.context and error.context_mark:
        what += f", {error.context} from line {error.context_mark.line + 1}"
    return Problem(where, what, _advice(error.problem or "", found))


def _advice(problem: str, found: str) -> str:
    """What to do about libyaml's commonest complaints."""
    if "cannot start any token" in problem:
        return f"put quotes around a value that begins with `{found}`"
    if "mapping values are not allowed" in problem:
        return "indent the keys of one mapping alike; put quotes around a value that holds `: `"
    if "expected ',' or" in problem or "node content" in problem:
        return "close the bracket that stands open, or put a comma between two values"
    if "end of stream" in problem:
        return "close the quotation mark"
    if "undefined alias" in problem:
        return "put quotes around a value that begins with `*`, or define the anchor `&` before it"
    if "another document" in problem:
        return "keep one recipe a file: delete the line `---` and what follows"
    if "expected key" in problem or "expected '-' indicator" in problem:
        return "indent the keys of one mapping, and the items of one list, alike"
    if "unexpected ':'" in problem:
        return "put a space after the `:`"
    if "block sequence entries" in problem:
        return "begin the list on a line of its own, or write it as [a, b]"
    return f"compare the line with {PREFIX}docs/recipe.md"
