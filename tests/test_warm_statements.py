"""What of imported modules is made anew in a fork, in another folder and later."""

from __future__ import annotations

import ast
import json
import time
from pathlib import Path

import pytest

from tests import warm
from tests.conftest import ROOT
from tests.warm_statements import Code
from tests.workspace import Workspace

# The front door in a fork: what it imports by itself, and what it knows of where and when it is.
PROBE = """
import json, sys
before = set(sys.modules)
try:
    exec(compile({body!r}, __file__, "exec"))
finally:
    from pipelines.files.engine import CODE
    from pipelines.front.doit.cli import STARTED_IN
    from pipelines.record.seal import BEGAN_NS
    from pipelines.run import worker
    from pipelines.stages import stage
    known = dict(code=str(CODE), worker=str(worker.CODE), stage=str(stage._VERSIONS))
    known |= dict(started=str(STARTED_IN), began=BEGAN_NS, argv=sys.argv[1:])
    known["imported"] = [n for n in set(sys.modules) - before if n.startswith(("pipe", "quant"))]
    sys.stderr.write("\\n" + json.dumps(known))
"""
FILES = {
    "here": "HERE = __file__\nOTHER = 1\ndef told():\n    return HERE\n",
    "user": "from code_of.here import OTHER, HERE as PLACE\nBELOW = PLACE + 'x'\nPLAIN = OTHER\n",
    "caller": "from code_of import here\nfrom code_of.here import told\n"
    "NOW = told()\nX = here.OTHER\n",
    "holder": "from code_of.here import told\nTABLE = {'told': told}\n",
    "base": "from code_of.here import HERE\nclass Kept:\n    place = HERE\n",
    "below_it": "from code_of.base import Kept\nclass More(Kept):\n    pass\n",
    "inside": "def lazy():\n    from code_of.user import BELOW\n    return BELOW\nNOW = lazy()\n",
    "plain": "from code_of.user import PLAIN\n@str\ndef f(x: PLAIN = 1):\n    import time\n",
}


@pytest.fixture
def code(tmp_path: Path) -> Code:
    (tmp_path / "code_of").mkdir()
    (tmp_path / "code_of" / "__init__.py").touch()
    for name, text in FILES.items():
        (tmp_path / "code_of" / f"{name}.py").write_text(text)
    return Code(tmp_path, ("code_of",))


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("here", ["HERE = __file__"]),
        ("user", ["from code_of.here import OTHER, HERE as PLACE", "BELOW = PLACE + 'x'"]),
        ("caller", ["NOW = told()"]),
        ("holder", []),
        ("base", None),
        ("below_it", None),
        ("inside", ["NOW = lazy()"]),
        ("plain", []),
    ],
)
def test_only_constants_of_the_import_are_made_anew(
    code: Code, name: str, again: list[str] | None
) -> None:
    code.reached([f"code_of.{name}"], is_deep=False)
    found = code.of_the_import(f"code_of.{name}")
    assert again == (None if found is None else [ast.unparse(one) for one in found.body])


def test_modules_stand_after_what_they_import(code: Code) -> None:
    names = code.reached(["code_of.inside", "code_of.below_it"], is_deep=True)
    assert names == [
        *("code_of", "code_of.inside", "code_of.here", "code_of.base", "code_of.below_it"),
        "code_of.user",
    ]


def test_nearly_all_of_the_front_is_lent() -> None:
    """118 modules were not, and each ./doit of a test imported them: half of what one takes."""
    code = Code(ROOT, ("pipelines", "quant"))
    names = code.reached(warm._FRONT_OWN, is_deep=True)
    assert len(names) > 150
    fixed = [name for name in names if code.of_the_import(name) is None]
    assert len(fixed) < 5, fixed


def test_what_the_backends_are_is_the_same_wherever_code_is_lent() -> None:
    """They are found by the names of their folders: what one of them makes anew, no table would
    hold."""
    code = Code(ROOT, ("pipelines", "quant"))
    backends = {
        f"pipelines.backends.{file.parent.name}.backend"
        for file in ROOT.glob("pipelines/backends/*/backend.py")
    }
    tables = {"pipelines.backends.table", "quant.rewrites.names", "quant.rewrites.table"}
    names = code.reached(sorted(tables | backends), is_deep=True)
    found = {name: code.of_the_import(name) for name in names}
    again = {name for name, statements in found.items() if statements is None or statements.body}
    assert len(backends) >= 3 and again
    assert again.isdisjoint(tables | backends)


def test_a_fork_of_the_front_imports_nothing_of_the_projects(tmp_path: Path) -> None:
    """And knows where it is, and when it began."""
    workspace = Workspace(tmp_path)
    door = tmp_path / "dodo.py"
    door.write_text(PROBE.format(body=door.read_text()))
    began = time.time_ns()
    ran = workspace.doit("list")
    known = json.loads(ran.err.rpartition("\n")[2])
    assert known.pop("began") > began
    assert known == {
        "code": str(tmp_path),
        "worker": str(tmp_path),
        "stage": str(tmp_path / "pipelines/stages/versions.yaml"),
        "started": str(tmp_path),
        "argv": ["list"],
        "imported": [],
    }
