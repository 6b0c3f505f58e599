"""What the cache took need not be hashed again; what was edited since must be."""

from __future__ import annotations

import hashlib
import itertools
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.dvc.repo import Cache
from pipelines.dvc.store import Store, Taken
from pipelines.files.shelf import Shelf
from pipelines.record import digest, seal
from pipelines.record.digest import Contents, md5_of
from tests.conftest import ROOT

OLD_NS = 1_000_000_000_000_000_000


def write(file: Path, text: str) -> None:
    """A file that was last written to long ago."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, ns=(OLD_NS, OLD_NS))


def take(root: Path, path: Path, link: str = "copy") -> Taken:
    return Store(Cache(root / "cache", (link,))).take(path)


def contents(root: Path) -> Contents:
    return Contents(root, root / "memory.json")


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were hashed anew."""
    found: list[Path] = []
    real = digest.md5_of

    def spy(path: Path) -> str:
        found.append(path)
        return real(path)

    monkeypatch.setattr(digest, "md5_of", spy)
    return found


def test_what_was_taken_is_not_hashed_again(tmp_path: Path, hashed: list[Path]) -> None:
    write(tmp_path / "work/d/x", "x")
    write(tmp_path / "work/d/e/y", "y")
    write(tmp_path / "work/f", "f")
    taken = {name: take(tmp_path, tmp_path / "work" / name) for name in ("d", "f")}
    for name in taken:
        (tmp_path / "work" / name).rename(tmp_path / name)
    memory = contents(tmp_path)
    for name, what in taken.items():
        memory.learn(name, what.reads)
        assert memory.of(name) == what.content
    assert hashed == []
    memory.save()
    assert contents(tmp_path).of("d") == taken["d"].content
    assert hashed == []


def edit(file: Path) -> None:
    file.write_text("b")


def replace(file: Path) -> None:
    file.unlink()
    write(file, "b")


def copy_over(file: Path) -> None:
    other = file.with_name("other")
    write(other, "bb")
    shutil.copy2(other, file)


EDITS: dict[str, Callable[[Path], None]] = {
    "written to": edit,
    "replaced by one as old": replace,
    "copied over": copy_over,
}


@pytest.mark.parametrize("when", ["before it is moved", "after it was moved"])
@pytest.mark.parametrize("how", EDITS)
def test_what_was_edited_after_it_was_read_is_hashed(tmp_path: Path, how: str, when: str) -> None:
    work, place = tmp_path / "work/f", tmp_path / "f"
    write(work, "a")
    taken = take(tmp_path, work)
    if when == "before it is moved":
        (tmp_path / "keeps the inode").hardlink_to(work)
        EDITS[how](work)
    work.rename(place)
    memory = contents(tmp_path)
    memory.learn("f", taken.reads)
    if when == "after it was moved":
        (tmp_path / "keeps the inode").hardlink_to(place)
        EDITS[how](place)
    found = memory.of("f")
    assert found is not None
    assert found.md5 == md5(place.read_text()) != taken.content.md5


def test_what_is_edited_while_it_is_read_is_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "f", "a" * 3_000_000)
    real = os.read

    def read(file: int, length: int) -> bytes:
        data = real(file, length)
        with (tmp_path / "f").open("r+b") as opened:
            opened.write(b"b")
        return data

    monkeypatch.setattr(os, "read", read)
    taken = take(tmp_path, tmp_path / "f")
    monkeypatch.undo()
    memory = contents(tmp_path)
    memory.learn("f", taken.reads)
    found = memory.of("f")
    assert found is not None
    assert found.md5 == md5("b" + "a" * 2_999_999)


def test_what_is_too_young_is_hashed_again(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edited within the same tick of the clock it would keep its times."""
    (tmp_path / "f").write_text("a")
    monkeypatch.setattr(seal, "RACY_NS", 10**12)
    taken = take(tmp_path, tmp_path / "f")
    memory = contents(tmp_path)
    memory.learn("f", taken.reads)
    assert memory.of("f") == taken.content
    assert hashed == [tmp_path / "f"]


@pytest.fixture
def on_disk() -> Iterator[Path]:
    """A folder where the project is: the others may be in memory."""
    (ROOT / ".npumake").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / ".npumake") as place:
        yield Path(place)


def test_a_store_by_a_shared_mapping_is_seen(on_disk: Path) -> None:
    """The page is dirty already when the file is hashed: without more, no time would change."""
    (on_disk / "f").write_bytes(b"a" * 5000)
    with (on_disk / "f").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = ord("b")
        time.sleep(0.05)
        if not shows_stores(on_disk):
            pytest.skip("this file system never tells of such stores (docs/dvc.md)")
        memory = contents(on_disk)
        before = memory.of("f")
        mapped[1] = ord("c")
        after = memory.of("f")
    assert before is not None
    assert after is not None
    assert before.md5 == md5("b" + "a" * 4999)
    assert after.md5 == md5("bc" + "a" * 4998)


def shows_stores(folder: Path) -> bool:
    """Whether a store into a clean page changes the file's times: not in memory."""
    place = folder / "probe"
    place.write_bytes(b"a" * 10)
    with place.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = ord("c")  # the first store brings the page, which changes them anywhere
        os.fsync(file.fileno())
        before = place.stat().st_mtime_ns
        time.sleep(0.05)
        mapped[0] = ord("b")
        return place.stat().st_mtime_ns != before


def test_of_times_in_whole_seconds_only_old_ones_are_trusted(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "f"
    place.write_text("a")
    stat = os.stat

    def whole(path: str) -> object:
        """As of a file system that keeps no parts of a second."""
        found = stat(path)
        return SimpleNamespace(
            **{name: getattr(found, name) for name in ("st_mode", "st_size", "st_ino", "st_dev")},
            st_mtime_ns=changed_s * 10**9,
            st_ctime_ns=changed_s * 10**9,
        )

    monkeypatch.setattr(os, "stat", whole)
    for age_s, count in ((0, 2), (1, 2), (4, 1)):
        changed_s = int(time.time()) - age_s
        memory = contents(tmp_path)
        hashed.clear()
        assert memory.of("f") == memory.of("f")
        assert len(hashed) == count, age_s


@pytest.mark.parametrize(
    ("mtime_ns", "ctime_ns", "racy_ns"),
    [
        (10**18 + 1, 10**18 + 1, 20_000_000),
        (10**18, 10**18, 2_020_000_000),
        (10**18, 10**18 + 10**9, 2_020_000_000),
        (10**18, 10**18 - 5, 2_020_000_000),  # FAT's other time is that of creation
        (10**18, 10**18 + 5, 20_000_000),  # somebody set the first
    ],
)
def test_a_clock_of_whole_seconds_is_known_by_its_times(
    mtime_ns: int, ctime_ns: int, racy_ns: int
) -> None:
    assert seal.racy_ns(mtime_ns, ctime_ns) == racy_ns


def test_a_file_of_another_file_system_is_hashed(tmp_path: Path, hashed: list[Path]) -> None:
    """All but the device is the same, as where another disk is mounted in place."""
    write(tmp_path / "f", "a")
    time.sleep(0.05)
    memory = contents(tmp_path)
    memory.of("f")
    memory.save()
    shelf = Shelf(tmp_path / "memory.json", digest.FORM)
    known = shelf.get("")
    assert known["f"][-1] == (tmp_path / "f").stat().st_dev
    assert seal.stamp(str(tmp_path / "f")) == known["f"][1:]
    known["f"][-1] += 1
    shelf.put("", known)
    shelf.save()
    hashed.clear()
    contents(tmp_path).of("f")
    assert hashed == [tmp_path / "f"]


def test_what_is_distrusted_is_hashed(tmp_path: Path, hashed: list[Path]) -> None:
    write(tmp_path / "f", "a")
    time.sleep(0.05)
    memory = contents(tmp_path)
    memory.of("f")
    memory.distrust()
    memory.of("f")
    assert hashed == [tmp_path / "f"] * 2


@pytest.mark.parametrize("link", ["hardlink", "symlink"])
def test_what_became_a_link_is_hashed(tmp_path: Path, hashed: list[Path], link: str) -> None:
    write(tmp_path / "f", "a")
    taken = take(tmp_path, tmp_path / "f", link)
    memory = contents(tmp_path)
    memory.learn("f", taken.reads)
    assert memory.of("f") == taken.content
    assert hashed == [tmp_path / "f"]


def test_what_is_gone_again_is_not_learnt(tmp_path: Path) -> None:
    write(tmp_path / "f", "a")
    taken = take(tmp_path, tmp_path / "f")
    (tmp_path / "f").unlink()
    memory = contents(tmp_path)
    memory.learn("f", taken.reads)
    assert memory.of("f") is None


def test_hashing_of_many_gb_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a clock where a megabyte takes 10 s: at once from the first second on, then every 8 s."""
    clock = itertools.count(0, 10)
    monkeypatch.setattr("pipelines.files.console.time.monotonic", lambda: float(next(clock)))
    file = tmp_path / "weights.bin"
    with file.open("wb") as opened:
        opened.truncate(8 << 20)
    assert md5_of(file) == hashlib.md5(bytes(8 << 20)).hexdigest()
    assert capsys.readouterr().err.splitlines() == [
        f"hashing weights.bin: {share}% of 8.4 MB" for share in (12, 25, 38, 50, 62, 75, 88, 100)
    ]


def test_hashing_of_a_small_file_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    assert md5_of(tmp_path / "a") == hashlib.md5(b"x").hexdigest()
    assert capsys.readouterr().err == ""
