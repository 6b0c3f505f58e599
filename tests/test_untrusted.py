"""dvc.lock, listings and run-cache are anybody's text: only a step's outputs are touched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.backends import recipes
from pipelines.building.builder import Builder, Outcome
from pipelines.dvc import leftovers, lock_text
from pipelines.dvc import repo as dvc_repo
from pipelines.dvc.stage import DvcStage
from pipelines.dvc.store import Damaged, Store
from pipelines.files import confined
from pipelines.files.confined import Refused
from pipelines.files.where import Problems
from pipelines.record.digest import Content
from pipelines.record.facts import observe
from pipelines.record.journal import Journal, Line
from pipelines.run.worker import Failed
from tests.conftest import lay_out
from tests.fake_steps import write_job
from tests.test_dvc_safety import FOLDER, RIGHT, STEP, ensure, made

LOCK, BUILD = "models/m/dvc.lock", "models/m/build"
Stage = dict[str, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, fake_toolchain: Path) -> Path:
    """A project whose only step has run."""
    root = lay_out(tmp_path_factory.mktemp("whole") / "project")
    shutil.copytree(fake_toolchain, root / ".npumake/toolchains", symlinks=True)
    write_job(root, "folder", FOLDER)
    (root / "models/m/a.txt").write_text("a")
    (root / ".dvc").mkdir()
    assert ensure(root) is Outcome.RAN
    return root


@pytest.fixture
def place(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "project", symlinks=True))


@pytest.fixture
def sibling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder beside the project, with one file that must stay as it is."""
    folder = tmp_path_factory.mktemp("sibling")
    (folder / "mine.txt").write_text("mine")
    return folder


def is_untouched(sibling: Path) -> bool:
    found = {file.name: file.read_text() for file in sibling.rglob("*") if file.is_file()}
    return found == {"mine.txt": "mine"} and not (sibling / "mine.txt").is_symlink()


def put(root: Path, data: bytes, suffix: str = "") -> str:
    """Put an object into the cache. Returns its MD5."""
    md5 = hashlib.md5(data).hexdigest() + suffix
    file = root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return md5


def edit_lock(root: Path, edit: Callable[[Stage], None]) -> None:
    data = yaml.safe_load((root / LOCK).read_text())
    edit(data["stages"]["one"])
    (root / LOCK).write_text(yaml.safe_dump(data, sort_keys=False))


def row(path: str, md5: str) -> dict[str, Any]:
    return {"path": path, "hash": "md5", "md5": md5, "size": 6}


ODD_PATHS = ("/etc/npumake", "../up", "a/../../up", "./a", "a//b", "", ".", "a/.git/config", "a\0b")


@pytest.mark.parametrize("path", [*ODD_PATHS, None, 3, "a/" * 600 + "b", "b" * 300])
def test_a_path_that_may_lead_elsewhere_is_refused(path: object) -> None:
    with pytest.raises(Refused):
        confined.require_below(path)


@pytest.mark.parametrize("path", ["a", "a/b.c", "_x/y-1", "a b/ü.txt", "..a/b..", "a/.b"])
def test_a_path_below_the_folder_is_as_it_stands(path: str) -> None:
    assert confined.require_below(path) == path


@pytest.mark.parametrize("md5", ["", "../../x", "A" * 32, "a" * 31, "a" * 33, "a" * 32 + "/x", 7])
def test_what_is_no_md5_is_refused(md5: object) -> None:
    with pytest.raises(Refused):
        confined.require_md5(md5)


def test_an_md5_of_the_other_kind_is_refused() -> None:
    file, folder = "a" * 32, "a" * 32 + ".dir"
    for md5 in (file, folder):
        assert confined.require_md5(md5) == md5
    assert confined.require_md5(file, of_folder=False) == file
    assert confined.require_md5(folder, of_folder=True) == folder
    with pytest.raises(Refused):
        confined.require_md5(file, of_folder=True)
    with pytest.raises(Refused):
        confined.require_md5(folder, of_folder=False)


@pytest.mark.parametrize("is_absolute", [True, False])
def test_a_further_output_row_is_not_restored(
    place: Path, sibling: Path, is_absolute: bool
) -> None:
    md5 = put(place, b"theirs")
    target = sibling / "mine.txt"
    path = str(target) if is_absolute else os.path.relpath(target, place / "models/m")
    edit_lock(place, lambda stage: stage["outs"].append(row(path, md5)))
    shutil.rmtree(place / BUILD)
    builder = Builder(place)
    assert [str(change) for change in builder.why(STEP)] == ["never built"]
    assert f"one: `{path}` is not a path below the folder" in builder.locks.damaged[LOCK]
    assert builder.ensure(STEP) is Outcome.RESTORED  # from the run-cache, which is whole
    builder.close()
    assert is_untouched(sibling)
    assert made(place) == RIGHT
    assert path not in (place / LOCK).read_text()


def test_an_output_of_another_step_is_not_restored(place: Path) -> None:
    md5 = put(place, b"theirs")
    (place / "models/m/notes.txt").write_text("mine")
    edit_lock(place, lambda stage: stage["outs"].append(row("notes.txt", md5)))
    shutil.rmtree(place / BUILD)
    builder = Builder(place)
    builder.ensure(STEP)
    builder.close()
    assert builder.locks.damaged == {LOCK: "one: `models/m/notes.txt` is no output of this step"}
    assert (place / "models/m/notes.txt").read_text() == "mine"


ODD_ROWS: dict[str, Callable[[Stage], None]] = {
    "the same output twice": lambda stage: stage["outs"].append(dict(stage["outs"][0])),
    "an output in an output": lambda stage: stage["outs"].append(row("build/d/x", "0" * 32)),
    "an output by another way": lambda stage: stage["outs"][0].update(path="build/../build/d"),
    "an MD5 that is a path": lambda stage: stage["outs"][0].update(md5="../../up"),
    "an MD5 of a dependency that is a path": lambda stage: stage["deps"][0].update(md5="/up"),
    "a size that is text": lambda stage: stage["outs"][0].update(size="big"),
}


@pytest.mark.parametrize("odd", list(ODD_ROWS))
def test_an_odd_row_is_told_and_the_step_restored(place: Path, odd: str) -> None:
    edit_lock(place, ODD_ROWS[odd])
    shutil.rmtree(place / BUILD)
    builder = Builder(place)
    assert builder.ensure(STEP) is Outcome.RESTORED
    builder.close()
    assert builder.locks.damaged.keys() == {LOCK}
    assert made(place) == RIGHT


def odd_listings(sibling: Path, root: Path, md5: str) -> dict[str, object]:
    """Listings that no run can have made."""
    up = os.path.relpath(sibling / "mine.txt", root / BUILD / "d")
    own = [{"md5": md5, "relpath": "x"}]
    return {
        "up": [{"md5": md5, "relpath": up}],
        "absolute": [{"md5": md5, "relpath": str(sibling / "mine.txt")}],
        "beside others": [*own, {"md5": md5, "relpath": up}],
        "twice": own * 2,
        "below a file": [*own, {"md5": md5, "relpath": "x/y"}],
        "git's own": [{"md5": md5, "relpath": ".git/config"}],
        "an MD5 that is a path": [{"md5": os.path.relpath(sibling, root), "relpath": "x"}],
        "a listing in a listing": [{"md5": md5 + ".dir", "relpath": "x"}],
        "no rows": 3,
        "rows of text": ["x"],
    }


@pytest.mark.parametrize("odd", list(odd_listings(Path("/a"), Path("/b"), "")))
def test_an_odd_listing_is_named_and_never_used(
    place: Path, sibling: Path, odd: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = odd_listings(sibling, place, put(place, b"theirs"))[odd]
    listing = put(place, json.dumps(rows).encode(), ".dir")
    store, content = Store(dvc_repo.cache(place)), Content(listing, 6, 1)
    assert not store.has(content)
    with pytest.raises(Damaged):
        store.restore(content, place / BUILD / "d")
    assert is_untouched(sibling)
    assert made(place) == RIGHT
    assert f"files/md5/{listing[:2]}/{listing[2:]} is not used: " in capsys.readouterr().err


def test_a_step_with_an_odd_listing_runs(place: Path, sibling: Path) -> None:
    rows = odd_listings(sibling, place, put(place, b"theirs"))["up"]
    listing = put(place, json.dumps(rows).encode(), ".dir")
    edit_lock(place, lambda stage: stage["outs"][0].update(md5=listing))
    shutil.rmtree(place / BUILD)
    shutil.rmtree(place / ".dvc/cache/runs")
    assert ensure(place) is Outcome.RAN
    assert is_untouched(sibling)
    assert made(place) == RIGHT


def rewrite_run(root: Path, edit: Callable[[Stage], None], *, is_in_place: bool) -> None:
    """Write an entry of the run-cache whose names fit its text, in its own folder or another's."""
    (file,) = (f for f in (root / ".dvc/cache/runs").rglob("*") if f.is_file())
    stage = lock_text.load_document(file.read_text())
    edit(stage)
    odd = DvcStage("", stage)
    runs = root / ".dvc/cache/runs"
    folder = file.parent if is_in_place else runs / odd.key[:2] / odd.key
    folder.mkdir(parents=True, exist_ok=True)
    file.unlink()
    (folder / odd.value).write_text(odd.document)


@pytest.mark.parametrize(
    ("edit", "is_in_place", "told"),
    [
        (lambda s: s["deps"][0].update(md5="0" * 32), True, "it tells of another run"),
        (lambda s: s["outs"].append(row("../../up", "0" * 32)), True, "it tells of another run"),
        (lambda s: s["outs"][0].update(md5="../../up"), False, "'../../up' is no MD5"),
    ],
)
def test_an_odd_run_is_named_and_never_used(
    place: Path,
    edit: Callable[[Stage], None],
    is_in_place: bool,
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rewrite_run(place, edit, is_in_place=is_in_place)
    (place / LOCK).unlink()
    builder = Builder(place)
    facts = observe(STEP, builder.contents)
    assert not list(builder.store.known(STEP, facts))
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("has_result", [True, False])
def test_nothing_is_written_through_a_link(place: Path, sibling: Path, has_result: bool) -> None:
    """build/ is a link; the result is in the cache, or has to be made."""
    shutil.rmtree(place / BUILD)
    if not has_result:
        shutil.rmtree(place / ".dvc")
        (place / LOCK).unlink()
    (place / BUILD).symlink_to(sibling)
    with pytest.raises(Failed, match="models/m/build is a link, and outputs are not written"):
        ensure(place)
    assert is_untouched(sibling)
    (place / BUILD).unlink()
    assert ensure(place) is (Outcome.RESTORED if has_result else Outcome.RAN)


def test_an_output_that_is_a_link_is_replaced_and_not_what_it_leads_to(
    place: Path, sibling: Path
) -> None:
    shutil.rmtree(place / BUILD / "d")
    (place / BUILD / "d").symlink_to(sibling)
    (place / BUILD / "e.txt").unlink()
    (place / BUILD / "e.txt").symlink_to(sibling / "mine.txt")
    assert ensure(place) is Outcome.RESTORED
    assert is_untouched(sibling)
    assert made(place) == RIGHT


@pytest.mark.parametrize("link", ["models/m", "models"])
def test_a_model_that_is_a_link_is_refused(place: Path, sibling: Path, link: str) -> None:
    (place / "models/m/recipe.yaml").write_text("model: m\n")
    shutil.move(place / link, sibling / "there")
    (place / link).symlink_to(sibling / "there")
    with pytest.raises(Problems, match=f"{link}: this folder can't be a link"):
        recipes.load_all(place)


def test_what_a_killed_run_left_is_not_looked_for_behind_a_link(place: Path, sibling: Path) -> None:
    left = sibling / ".old-abcdefgh"
    left.mkdir()
    os.utime(left, (0, 0))
    shutil.rmtree(place / BUILD)
    (place / BUILD).symlink_to(sibling)
    (place / "models/n").symlink_to(sibling.parent)
    leftovers.remove(place)
    assert left.is_dir()


@pytest.mark.parametrize("folder", ["../sibling", "/etc", "models/../..", "models", "models/m/x"])
def test_a_journal_writes_only_locks_of_models(place: Path, folder: str) -> None:
    before = (place / LOCK).read_bytes()
    journal = Journal(place / ".npumake/journal")
    journal.append(Line(folder, "one", None, "  one:\n    cmd: x\n"))
    journal.append(Line("models/m", "two", None, "  two:\n    cmd: x\n"))
    journal.leave()
    builder = Builder(place)
    assert builder.why(STEP) == []
    builder.close()
    assert (place / LOCK).read_bytes() == before + b"  two:\n    cmd: x\n"
    assert not [path for path in place.parent.glob("*/dvc.lock") if path.parent != place]
