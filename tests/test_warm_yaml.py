"""What DVC has read before comes back as DVC would read it again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from dvc.utils.serialize import (  # type: ignore[import-untyped]
    YAMLFileCorruptedError,
    parse_yaml,
)

from tests import warm_yaml

TEXTS = {
    "a lock": "schema: '2.0'\nstages:\n  build:\n    cmd: x\n    deps:\n    - {path: a, size: 1}\n",
    "scalars of YAML 1.2": "{on: yes, no: 0o17, a: 12:30, b: 1e3, c: .nan, d: 2001-01-01, e: ~}",
    "an alias": "a: &one [1, 2]\nb: *one\n",
    "nothing": "",
    "other letters": "名: Größe\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_it_is_the_same_again(tmp_path: Path, name: str) -> None:
    parse = warm_yaml.remembering(parse_yaml, tmp_path)
    expected = repr(parse_yaml(TEXTS[name], "x.yaml"))
    found = [parse(TEXTS[name], "x.yaml") for _ in range(3)]
    assert [repr(one) for one in found] == [expected] * 3
    assert found[1] is not found[2]
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_read_is_told_each_time_with_its_path(tmp_path: Path) -> None:
    parse = warm_yaml.remembering(parse_yaml, tmp_path)
    for path in ("a.yaml", "b.yaml"):
        with pytest.raises(YAMLFileCorruptedError) as raised:
            parse("a: [", path)
        assert raised.value.path == path
    assert list(tmp_path.iterdir()) == []


def test_text_with_its_comments_is_read_anew(tmp_path: Path) -> None:
    parse = warm_yaml.remembering(parse_yaml, tmp_path)
    assert parse("a: 1  # one\n", "x.yaml", typ="rt").ca.items
    assert list(tmp_path.iterdir()) == []


def test_all_of_dvc_reads_so(tmp_path: Path) -> None:
    code = f"""if True:
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(warm_yaml.__file__).parent)!r})
        import dvc.repo, dvc.utils.strictyaml, warm_yaml
        warm_yaml.install(Path.cwd())
        Path("x").write_text("a: 1")
        assert dvc.utils.serialize.load_yaml("x") == {{"a": 1}}
        assert dvc.utils.strictyaml.load("x")[0] == {{"a": 1}}
        import ruamel.yaml
        ruamel.yaml.YAML = None
        assert dvc.utils.serialize.load_yaml("x") == {{"a": 1}}
        assert dvc.utils.strictyaml.load("x")[0] == {{"a": 1}}
    """
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
