"""dvc.lock's text is DVC's to the byte; what was recorded is never lost and never stale."""

from __future__ import annotations

import dataclasses
import itertools
import os
import resource
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dvc import leftovers, lock_text
from pipelines.dvc.lock import LockEntry, Locks, to_stage
from pipelines.record import journal
from pipelines.record.digest import Content
from pipelines.record.facts import Facts, changes
from pipelines.record.journal import Journal, Line
from pipelines.record.step import Step
from tests import drawn
from tests.conftest import ROOT
from tests.fake_steps import make_step
from tests.vacuous import some

# Text that some YAML reads as something else, or that has to be quoted, folded or escaped.
ODD = (
    *(
        "on",
        "yes",
        "true",
        "null",
        "~",
        "=",
        "<<",
        "n",
        "NaN",
        ".inf",
        "1e5",
        "1e-7",
        "0x1f",
        "0o7",
    ),
    *("0b11", "007", "1_000", "_1", "12:30", "1.5", "2020-01-01", "", " a", "a ", "a  b", "a: b"),
    *("a #b", "- a", "a-", "-a", "+a", "? a", "?", "a:", "!x", "&x", "*x", "@x", "%x", "`x", "[a"),
    *("{a", "a,b", "a]", "'", '"', "|", ">", "...", "---", "./.", "../", "a\nb", "é", "模型", "\t"),
)
PLAIN = (
    *("../../toolchains/core.txt", "recipe.yaml", "build/rk3588/model.rknn", "rknn.quantize"),
    *("../../doit step m:build@rk3588", "letterbox", "w8a8", "/head/Add_output_0", "x" * 90),
)
HASHES = drawn.text(32, 32, "0123456789abcdef")
PARTS = drawn.listed(drawn.sampled(PLAIN + ODD), 0, 12)
TEXTS = drawn.one_of(
    drawn.sampled(ODD + PLAIN),
    HASHES,
    lambda random: f"{HASHES(random)}.dir",
    drawn.text(0, 20),
    drawn.text(0, 90, "abc:/.@-_ #=+01eEx"),
    lambda random: " ".join(PARTS(random)),
)
LEAVES = drawn.one_of(TEXTS, drawn.integer, drawn.real, drawn.boolean, drawn.nothing)
# Of some keys with blanks ruamel makes YAML that nobody can read, ruamel included.
KEYS = drawn.sampled(("recipe.yaml", "targets.rk3588.quantize", "on", "1", "/head/Add_output_0"))
PLAIN_NAMES = ("build-rk3588", "one", "export", "a.b")
PLAIN_LEAVES = drawn.one_of(drawn.sampled(PLAIN), HASHES, drawn.integer, drawn.real, drawn.boolean)
ODD_STAGE = drawn.mapping(TEXTS, drawn.tree(LEAVES, TEXTS, 4), 1, 4)
PLAIN_STAGE = drawn.mapping(KEYS, drawn.tree(PLAIN_LEAVES, KEYS, 4), 1, 5)
STAGES = drawn.listed(drawn.mapping(KEYS, drawn.tree(LEAVES, KEYS, 4), 1, 3), 1, 4)
SEEDS = st.integers(0, 2**32)
DRAWS = 10  # of one seed
STEP = make_step("one", {"a": "models/m/a.txt"})
LOCK = "models/m/dvc.lock"


class Written:
    """Items that were written without ruamel, in mappings in which no key stands twice."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._mappings: list[dict[str, Any]] = []
        self._texts: list[list[str]] = []

    def add(self, key: str, value: Any, text: str) -> None:
        at = self._seen[key]
        self._seen[key] += 1
        if at == len(self._mappings):
            self._mappings.append({})
            self._texts.append([])
        self._mappings[at][key] = value
        self._texts[at].append(text)

    def require_ruamels(self, head: str) -> int:
        """One call of ruamel for thousands of items. Returns how many they are."""
        for mapping, texts in zip(self._mappings, self._texts, strict=True):
            told = lock_text.by_ruamel({head: mapping} if head else mapping)
            if told != (f"{head}:\n" if head else "") + "".join(texts):
                for (key, value), text in zip(mapping.items(), texts, strict=True):
                    alone = lock_text.by_ruamel({head: {key: value}} if head else {key: value})
                    assert text == (alone.removeprefix(f"{head}:\n") if head else alone)
            assert told == (f"{head}:\n" if head else "") + "".join(texts)
        return sum(self._seen.values())


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (dict, list)):
        for each in (*value, *(value.values() if isinstance(value, dict) else ())):
            yield from leaves(each)
    else:
        yield value


def test_what_is_written_without_ruamel_is_ruamels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is not left to ruamel: whole stages, their items, and each scalar alone."""
    stages, items, number = Written(), Written(), itertools.count()

    class Left(Exception):
        """It was left to ruamel."""

    def leave(_: object) -> str:
        raise Left

    def take(name: str, stage: dict[str, Any]) -> None:
        try:
            text, document = lock_text.dump_stage(name, stage), lock_text.dump(stage)
        except Left:
            return
        assert lock_text.dump_both(name, stage) == (text, document)
        stages.add(name, stage, text)
        if len(stage) == 1:
            ((key, value),) = stage.items()
            items.add(key, value, document)

    def odd(name: str, stage: dict[str, Any]) -> None:
        take(name, stage)
        for key, value in stage.items():
            take(f"s{next(number)}", {key: value})
        for leaf in leaves([name, stage]):
            long = f"k{next(number):0{zlib.crc32(repr(leaf).encode()) % 76}}"
            take(long, {long: leaf, "a": [[leaf]], "b": [{"c": leaf}]})
            take(f"s{next(number)}", {long: leaf})

    @settings(max_examples=12, deadline=None, database=None)
    @given(SEEDS)
    def all_of_it(seed: int) -> None:
        random = Random(seed)
        for _ in range(DRAWS):
            odd(TEXTS(random), ODD_STAGE(random))
        for _ in range(DRAWS // 2):
            take(f"{random.choice(PLAIN_NAMES)}-{next(number)}", PLAIN_STAGE(random))

    with monkeypatch.context() as patch:
        patch.setattr(lock_text, "by_ruamel", leave)
        all_of_it()
    assert stages.require_ruamels("stages") > 400
    assert items.require_ruamels("") > 200


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_text_is_ruamels(seed: int) -> None:
    """Most of these are left to ruamel."""
    name, stage = TEXTS(random := Random(seed)), ODD_STAGE(random)
    alone = lock_text.by_ruamel({"stages": {name: stage}})
    text, document = alone.removeprefix("stages:\n"), lock_text.by_ruamel(stage)
    assert lock_text.dump_stage(name, stage) == text
    assert lock_text.dump(stage) == document
    assert lock_text.dump_both(name, stage) == (text, document)


def test_plain_text_is_not_left_to_ruamel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(lock_text, "by_ruamel")
    stage = to_stage(entry(), STEP.folder)
    assert lock_text.dump_stage("one", stage).startswith("  one:\n    cmd: ../../doit step m:one\n")


@settings(max_examples=300 // DRAWS, deadline=None)
@given(SEEDS)
def test_splitting_keeps_every_byte(seed: int) -> None:
    random = Random(seed)
    for stages in some([STAGES(random) for _ in range(DRAWS)]):
        named = {f"stage-{i}": stage for i, stage in enumerate(stages)}
        text = lock_text.by_ruamel({"schema": "2.0", "stages": named})
        parts = lock_text.split(text)
        assert list(parts) == list(named)
        assert lock_text.join(parts.values()) == text


@pytest.mark.parametrize("text", ODD)
def test_text_that_yaml_1_1_reads_otherwise_is_read_back(project: Path, text: str) -> None:
    facts = dataclasses.replace(entry().facts, params={"models/m/recipe.yaml": {"value": [text]}})
    record(project, LockEntry(facts, entry().outs))
    found = Locks(project).entry(STEP)
    assert found is not None
    assert changes(found.facts, facts) == []


def test_what_two_stages_share_is_written_twice(project: Path) -> None:
    """An alias would tie one stage's text to another's."""
    shared = {"shape": [1, 3, 4, 4]}
    facts = dataclasses.replace(entry().facts, params={"models/m/recipe.yaml": {"a": shared}})
    locks = Locks(project)
    locks.record(STEP, LockEntry(facts, entry().outs))
    locks.record(make_step("two", {}), LockEntry(facts, entry().outs))
    locks.flush()
    assert "&" not in (project / LOCK).read_text()
    assert (project / LOCK).read_text().count("shape:") == 2


def test_aliases_of_an_older_lock_are_understood(project: Path) -> None:
    stages = (
        "  a:\n    cmd: x\n    outs: &id001\n    - path: o\n  b:\n    cmd: y\n    outs: *id001\n"
    )
    (project / LOCK).write_text(lock_text.HEAD + stages)
    record(project, entry())
    text = (project / LOCK).read_text()
    assert "id001" not in text
    assert lock_text.load(text)["b"] == {"cmd": "y", "outs": [{"path": "o"}]}


def entry(md5: str = "d41d8cd98f00b204e9800998ecf8427e") -> LockEntry:
    content = Content(md5, 3)
    params = {"models/m/recipe.yaml": {"value": 1}}
    facts = Facts(STEP.command, {"models/m/a.txt": content}, params)
    return LockEntry(facts, {"models/m/build/one/out.txt": content})


def record(project: Path, what: LockEntry, step: Step = STEP) -> None:
    locks = Locks(project)
    locks.record(step, what)
    locks.flush()


NEW, OTHER = "00000000000000000000000000000abc", "00000000000000000000000000000def"


def recorded(project: Path) -> str | None:
    found = Locks(project).entry(STEP)
    return found.outs["models/m/build/one/out.txt"].md5 if found else None


def test_nothing_is_written_until_the_end_and_then_once(project: Path) -> None:
    locks = Locks(project)
    locks.record(STEP, entry(NEW))
    assert not (project / LOCK).exists()
    assert len(list((project / ".npumake/journal").iterdir())) == 1
    locks.flush()
    assert recorded(project) == NEW
    assert list((project / ".npumake/journal").iterdir()) == []


def test_unchanged_stages_keep_their_text(project: Path) -> None:
    odd = "  other:   # by hand\n    cmd:   'x'\n"
    (project / LOCK).write_text(lock_text.HEAD + odd)
    # A comment behind a name is not DVC's way, so it is written anew; an odd value is kept.
    record(project, entry())
    assert "  other:\n    cmd: x\n" in (project / LOCK).read_text()
    (project / LOCK).write_text(lock_text.HEAD + "  other:\n    cmd:   'x'\n")
    record(project, entry())
    assert "  other:\n    cmd:   'x'\n" in (project / LOCK).read_text()


@pytest.mark.parametrize("torn", [0, 1, 40])
def test_a_killed_process_loses_at_most_the_line_it_was_writing(project: Path, torn: int) -> None:
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from pipelines.dvc.lock import Locks\n"
        "from tests.test_lock import STEP, NEW, OTHER, entry\n"
        "locks = Locks(Path(sys.argv[1]))\n"
        "locks.record(STEP, entry(NEW)); locks.record(STEP, entry(OTHER)); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(project), str(ROOT)])
    assert done.returncode == -9
    assert not (project / LOCK).exists()
    (file,) = (project / ".npumake/journal").iterdir()
    os.truncate(file, file.stat().st_size - torn)
    # The newline alone is no loss.
    assert recorded(project) == (NEW if torn > 1 else OTHER)
    assert list((project / ".npumake/journal").iterdir()) == []


def test_a_journal_whose_process_lives_is_left_alone(project: Path) -> None:
    locks = Locks(project)
    locks.record(STEP, entry(NEW))
    assert recorded(project) is None
    locks.flush()
    assert recorded(project) == NEW


def write_lock(project: Path, what: LockEntry) -> None:
    stage = lock_text.dump_stage(STEP.lock_name, to_stage(what, STEP.folder))
    (project / LOCK).write_text(lock_text.join([stage]))


@pytest.mark.parametrize(
    ("meanwhile", "left"),
    [
        (lambda project: None, NEW),
        (lambda project: write_lock(project, entry(OTHER)), OTHER),  # dvc repro was quicker
        (lambda project: (project / LOCK).unlink(), None),  # git checkout of a commit without it
        (lambda project: (project / LOCK).write_text(""), NEW),  # DVC died while it wrote
        (lambda project: (project / LOCK).write_text("schema: '2"), NEW),
    ],
)
@pytest.mark.parametrize("is_killed", [False, True])
def test_what_others_wrote_meanwhile_stands(
    project: Path, meanwhile: Callable[[Path], object], left: str | None, is_killed: bool
) -> None:
    record(project, entry())
    locks = Locks(project)
    locks.record(STEP, entry(NEW))
    meanwhile(project)
    if is_killed:
        locks._journal.leave()  # what the kernel does to a dead process's files
    else:
        locks.flush()
    assert recorded(project) == left


def test_other_stages_that_others_wrote_are_kept(project: Path) -> None:
    two = make_step("two", {}, outputs={"out.txt": "models/m/build/one/out.txt"})
    locks = Locks(project)
    locks.record(STEP, entry(NEW))
    record(project, entry(OTHER), two)
    locks.flush()
    assert recorded(project) == NEW
    found = Locks(project).entry(two)
    assert found is not None
    assert found.outs["models/m/build/one/out.txt"].md5 == OTHER


def test_forgetting_is_written_at_once(project: Path) -> None:
    record(project, entry())
    assert Locks(project).forget(STEP)
    assert lock_text.load((project / LOCK).read_text()) == {}
    assert not Locks(project).forget(STEP)


def test_a_lock_that_cant_be_written_stays_in_the_journal(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    locks = Locks(project)
    locks.record(STEP, entry(NEW))
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.files.atomic.write", full)
        locks.flush()
    assert locks.unwritten is not None
    assert "No space left" in locks.unwritten
    assert recorded(project) == NEW


def test_journal_lines_after_a_damaged_one_are_not_believed(tmp_path: Path) -> None:
    own = Journal(tmp_path)
    for name in "abc":
        own.append(Line("models/m", name, None, f"  {name}:\n"))
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    file.write_bytes(data.replace(b'"b"', b'"x"'))
    assert [line.name for line in journal.read(file)] == ["a"]


def test_a_journal_line_that_did_not_fit_leaves_no_part(tmp_path: Path) -> None:
    own = Journal(tmp_path)
    own.append(Line("models/m", "a", None, "  a:\n"))
    (file,) = tmp_path.iterdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 10, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            own.append(Line("models/m", "b", None, "  b:\n"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    own.append(Line("models/m", "c", None, "  c:\n"))
    assert [line.name for line in journal.read(file)] == ["a", "c"]


def test_leftovers_are_removed_and_nothing_else(project: Path) -> None:
    left = (
        *("models/m/.dvc.lock.abcd1234", "models/m/.dvc.yaml.abcd1234", ".dvc.yaml.abcd1234"),
        *("models/m/build/x/.old-abcd1234/x", "models/m/build/.out.txt.abcd1234/out.txt"),
        *(".npumake/.contents.json.abcd1234", ".dvc/cache/files/md5/ab/tmpabcd1234"),
        f".dvc/cache/files/md5/ab/.{'c' * 30}.dir.abcd1234",
        f".dvc/cache/runs/ab/abc/.{'d' * 64}.abcd1234",
        *(
            "models/m/.dvc.lock.1f-2a",
            "models/m/.recipe.yaml.1f-6",
            ".npumake/.contents.json.1f-0",
            ".npumake/.contents.txt.1f-0",
            ".npumake/.whole.txt.1f-0",
            "models/.new-99999999-m/recipe.yaml",
            ".dvc/cache/files/md5/tmp1f-3",
        ),
        *(
            f".dvc/cache/files/md5/ab/.{'c' * 30}.dir.1f-4",
            f".dvc/cache/files/md5/ab/.{'c' * 30}.1f-5",
            f".dvc/cache/runs/ab/abc/.{'d' * 64}.1-0",
        ),
    )
    kept = (
        *("models/m/.notes.abcd1234", "models/m/build/.out.txt.abcd1234x", "models/m/dvc.lock"),
        *("models/.new-notes-m/x", f"models/.new-{os.getpid()}-m/recipe.yaml"),
        *("models/m/build/d/.x.abcd1234/y", "models/m/data/.old-abcd1234/x", ".x.abcd1234"),
        *(f".dvc/cache/files/md5/ab/{'c' * 30}", ".npumake/contents.json", "models/m/.notes.1f-2a"),
    )
    for path in (*left, *kept):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text("x")
        os.utime(project / path, (1, 1))
        os.utime((project / path).parent, (1, 1))
    leftovers.remove(project)
    assert [path for path in left if (project / path).exists()] == []
    assert [path for path in kept if not (project / path).exists()] == []
