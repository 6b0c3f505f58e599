"""Damaged locks and caches, read-only and full disks, every link type: never a wrong artifact."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.building import dvc_yaml
from pipelines.building.builder import Builder, Outcome
from pipelines.dvc import repo as dvc_repo
from pipelines.files.where import Problems
from pipelines.record.step import Step
from pipelines.run.toolchain.installed import Installed
from pipelines.run.worker import Failed
from tests import warm, warm_plain
from tests.conftest import ROOT
from tests.dvc_runner import dvc
from tests.fake_steps import make_step, write_job
from tests.vacuous import some

FOLDER = """
def run(job):
    (job.out / "d").mkdir()
    (job.out / "d" / "x").write_text(job.inputs["a"].read_text())
    (job.out / "d" / "y").write_text("2")
    (job.out / "e.txt").write_text(job.inputs["a"].read_text() + "e")
"""
STEP = make_step(
    "one",
    {"a": "models/m/a.txt"},
    "folder",
    outputs={"d": "models/m/build/d", "e.txt": "models/m/build/e.txt"},
)
NEXT = make_step("two", {"d": "models/m/build/e.txt"})
RIGHT = {"d/x": "a", "d/y": "2", "e.txt": "ae"}


@pytest.fixture
def place(project: Path) -> Path:
    """A project that has one step with two outputs, and its dvc.yaml."""
    (fake,) = (project / ".npumake/toolchains").glob("fake-*")
    warm_plain.start_before(fake)
    Installed(fake).note((project / "toolchains/fake.txt").read_bytes())
    write_job(project, "folder", FOLDER)
    write_job(project, "join")
    (project / "models/m/a.txt").write_text("a")
    (project / "models/m/recipe.yaml").write_text("value: 1\n")
    (project / "pipelines/stages").mkdir(parents=True)
    (project / "pipelines/stages/versions.yaml").write_text("one: 1\ntwo: 1\n")
    (project / "models/m/dvc.yaml").write_text(dvc_yaml.model_text([STEP, NEXT]))
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    return project


def ensure(root: Path, step: Step = STEP) -> Outcome:
    """In a process of its own, as far as the builder knows."""
    builder = Builder(root)
    try:
        return builder.ensure(step)
    finally:
        builder.close()


def made(root: Path) -> dict[str, str]:
    build = root / "models/m/build"
    files = (file for file in build.rglob("*") if file.is_file())
    found = {file.relative_to(build).as_posix(): file.read_text() for file in files}
    return {name: text for name, text in found.items() if not name.startswith("two/")}


def objects(root: Path) -> list[Path]:
    return sorted(f for f in (root / ".dvc/cache/files/md5").rglob("*") if f.is_file())


def is_whole(file: Path) -> bool:
    name = file.parent.name + file.name
    return hashlib.md5(file.read_bytes()).hexdigest() == name.removesuffix(".dir")


def test_a_lock_cut_anywhere_never_gives_a_wrong_artifact(place: Path) -> None:
    ensure(place)
    lock = place / "models/m/dvc.lock"
    whole = lock.read_bytes()
    build = place / "models/m/build"
    for cut in some(range(len(whole))):
        lock.write_bytes(whole[:cut])
        # One output is what a run with other inputs left, another is gone.
        (build / "e.txt").write_text("left by something else")
        shutil.rmtree(build / "d")
        builder = Builder(place)
        assert builder.why(STEP) != [], cut
        assert builder.ensure(STEP) is Outcome.RESTORED, cut
        builder.close()
        assert made(place) == RIGHT, cut
    assert lock.read_bytes() == whole
    assert "are up to date" in dvc(place, "status", "models/m/dvc.yaml:one")


@pytest.mark.parametrize("damage", [b"", b"\0" * 300, b"- 1\n", b"schema: '2.0'\n", b"\xff\xfe"])
def test_a_damaged_lock_is_told_and_made_anew(place: Path, damage: bytes) -> None:
    ensure(place)
    lock = place / "models/m/dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(damage)
    builder = Builder(place)
    assert [str(change) for change in builder.why(STEP)] == ["never built"]
    assert builder.locks.damaged.keys() == {"models/m/dvc.lock"}
    assert builder.ensure(STEP) is Outcome.RESTORED
    builder.close()
    assert lock.read_bytes() == whole


def fill(file: Path, data: bytes) -> None:
    file.chmod(0o644)
    file.write_bytes(data)
    file.chmod(0o444)


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "garbage": lambda file: fill(file, b"garbage"),
    "empty": lambda file: fill(file, b""),
    "missing": Path.unlink,
    "folder": make_folder,
}


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("has_lock", [True, False])
def test_a_damaged_object_is_not_restored(
    place: Path, number: int, damage: str, has_lock: bool
) -> None:
    """Objects: d's listing, its two members and e.txt; each is made again and then whole."""
    ensure(place)
    found = objects(place)
    assert len(found) == 4
    if number == 4:
        for file in found:
            DAMAGES[damage](file)
    else:
        DAMAGES[damage](found[number])
    shutil.rmtree(place / "models/m/build")
    if not has_lock:
        (place / "models/m/dvc.lock").unlink()
    if damage == "folder":
        with pytest.raises(Failed):
            ensure(place)
        return
    assert ensure(place) is Outcome.RAN
    assert made(place) == RIGHT
    assert all(is_whole(file) for file in some(objects(place)))
    shutil.rmtree(place / "models/m/build")
    assert ensure(place) is Outcome.RESTORED


@pytest.mark.parametrize("type", dvc_repo.LINKS)
def test_a_step_that_ran_mends_a_damaged_object(place: Path, type: str) -> None:
    """The object is there, is wrong, and the step runs for another reason."""
    configure(place, f"type = {type}")
    ensure(place)
    for file in objects(place):
        DAMAGES["garbage"](file)
    shutil.rmtree(place / ".dvc/cache/runs")
    (place / "models/m/dvc.lock").unlink()
    assert ensure(place) is Outcome.RAN
    assert made(place) == RIGHT
    assert all(is_whole(file) for file in some(objects(place)))


def test_damaged_run_cache_entries_are_passed_over(place: Path) -> None:
    ensure(place)
    (entry,) = (f for f in (place / ".dvc/cache/runs").rglob("*") if f.is_file())
    whole = entry.read_bytes()
    for cut in some(range(0, len(whole), 7)):
        entry.write_bytes(whole[:cut])
        (place / "models/m/dvc.lock").unlink(missing_ok=True)
        shutil.rmtree(place / "models/m/build", ignore_errors=True)
        assert ensure(place) in (Outcome.RAN, Outcome.RESTORED)
        assert made(place) == RIGHT, cut


def configure(root: Path, line: str) -> None:
    with (root / ".dvc/config").open("a") as file:
        file.write(f"[cache]\n    {line}\n")


@pytest.mark.parametrize("type", [*dvc_repo.LINKS, '"reflink,hardlink,copy"', "hardlink,symlink"])
def test_every_link_type(place: Path, type: str) -> None:
    configure(place, f"type = {type}")
    for step, outcome in ((STEP, Outcome.RAN), (NEXT, Outcome.RAN), (STEP, Outcome.UP_TO_DATE)):
        assert ensure(place, step) is outcome
    assert "are up to date" in dvc(place, "status")
    before = {file: file.read_bytes() for file in objects(place)}
    shutil.rmtree(place / "models/m/build")
    assert ensure(place) is Outcome.RESTORED
    assert made(place) == RIGHT

    # A rebuild replaces the links, and writes nothing through them.
    (place / "models/m/a.txt").write_text("b")
    assert ensure(place) is Outcome.RAN
    assert made(place) == {"d/x": "b", "d/y": "2", "e.txt": "be"}
    assert {file: file.read_bytes() for file in before} == before
    assert ensure(place, NEXT) is Outcome.RAN
    assert "are up to date" in dvc(place, "status")

    (place / "models/m/a.txt").write_text("a")
    assert ensure(place) is Outcome.RESTORED
    assert ensure(place, NEXT) is Outcome.RESTORED
    assert "are up to date" in dvc(place, "status")
    assert all(is_whole(file) for file in some(objects(place)))


def test_dvc_checks_out_what_we_linked(place: Path) -> None:
    configure(place, "type = symlink")
    ensure(place)
    shutil.rmtree(place / "models/m/build")
    dvc(place, "checkout", "-q", "models/m/dvc.yaml:one")
    assert (place / "models/m/build/e.txt").is_symlink()
    assert ensure(place) is Outcome.UP_TO_DATE


@pytest.mark.parametrize("line", ["dir = {}/elsewhere", "dir = ../../elsewhere"])
def test_a_cache_elsewhere(
    place: Path, tmp_path_factory: pytest.TempPathFactory, line: str
) -> None:
    """An absolute folder, or one that counts from the folder of the configuration."""
    configure(place, line.format(place.parent))
    ensure(place)
    ensure(place, NEXT)
    assert not (place / ".dvc/cache").exists()
    assert (place.parent / "elsewhere/files/md5").is_dir()
    assert "are up to date" in dvc(place, "status")
    shutil.rmtree(place / "models/m/build")
    assert ensure(place) is Outcome.RESTORED
    shutil.rmtree(place.parent / "elsewhere")


def test_the_users_own_configuration_counts(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config").write_text(f"[cache]\n    dir = {tmp_path}/shared\n    type = symlink\n")
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(home))
    assert dvc_repo.cache(place) == dvc_repo.Cache(tmp_path / "shared", ("symlink",))
    configure(place, "type = copy")
    assert dvc_repo.cache(place) == dvc_repo.Cache(tmp_path / "shared", ("copy",))


def test_an_unknown_link_type_names_the_known(place: Path) -> None:
    configure(place, "type = hardlnk")
    with pytest.raises(Problems, match=r"no cache type `hardlnk`\n  did you mean `hardlink`\?"):
        Builder(place)


def mounted(root: Path, mount: str, code: str, *, is_shared: bool = False) -> warm.Said:
    """Run Python in `root` after the shell command `mount`, in a namespace of its own.

    is_shared: see warm.mounted.
    """
    if warm.mounted(f"mount -t tmpfs t {root}", ["-c", ""], ROOT).code != 0:
        pytest.skip("mounting is not allowed here")
    return warm.mounted(mount, ["-c", code, str(root)], ROOT, is_shared=is_shared)


BRING = """
import sys
from pathlib import Path
from pipelines.run.worker import Failed
from tests.test_dvc_safety import STEP, ensure
try:
    print(ensure(Path(sys.argv[1])).value)
except (Failed, OSError) as error:
    print(f"{type(error).__name__}: {error}")
"""


def test_a_read_only_cache(place: Path) -> None:
    """Restoring works; running says what it could not keep; nothing half-made is in place."""
    ensure(place)
    cache = place / ".dvc/cache"
    read_only = f"mount --bind {cache} {cache} && mount -o remount,bind,ro {cache}"
    shutil.rmtree(place / "models/m/build")
    assert mounted(place, read_only, BRING).out == "restored\n"
    (place / "models/m/a.txt").write_text("b")
    told = mounted(place, read_only, BRING).out
    assert "the result could not be kept: [Errno 30] Read-only file system" in told
    assert made(place) == RIGHT
    assert ensure(place) is Outcome.RAN


@pytest.mark.parametrize("full", [".dvc/cache", ".npumake/work", "models/m/build"])
def test_a_full_disk(place: Path, full: str) -> None:
    """Told in one sentence; after room was made the same command goes on."""
    (place / full).mkdir(parents=True, exist_ok=True)
    write_job(place, "folder", FOLDER + '    (job.out / "e.txt").write_text("e" * 3_000_000)\n')
    small = f"mount -t tmpfs -o size=1m tmpfs {place}/{full}"
    told = mounted(place, small, BRING).out
    assert re.search("disk is full|No space left on device", told), told
    assert not (place / "models/m/build/e.txt").exists()
    assert ensure(place) is Outcome.RAN
    assert (place / "models/m/build/e.txt").read_text() == "e" * 3_000_000


def test_a_build_folder_on_another_disk(place: Path) -> None:
    """Moved by way of a copy; links to the cache stay links."""
    configure(place, "type = symlink")
    (place / "models/m/build").mkdir()
    other = f"mount -t tmpfs tmpfs {place}/models/m/build"
    code = BRING + "print(sorted(p.name for p in Path(sys.argv[1]).rglob('build/**/*')))"
    assert mounted(place, other, code).out == "ran\n['d', 'e.txt', 'x', 'y']\n"


def test_dvcs_lock_is_waited_for_and_its_holder_named(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = place / ".dvc/tmp/lock"
    lock.parent.mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    holder.stdout.readline()
    thread = threading.Thread(target=ensure, args=(place,))
    thread.start()
    told = ""
    end = time.monotonic() + 30
    while "waiting" not in told:
        assert time.monotonic() < end
        told += capsys.readouterr().err
        time.sleep(0.05)
    assert f"waiting for DVC's lock, held by process {holder.pid} (" in told
    assert thread.is_alive()
    holder.stdin.close()
    thread.join(30)
    assert not thread.is_alive()
    assert made(place) == RIGHT
    assert "are up to date" in dvc(place, "status", "models/m/dvc.yaml:one")


HOLD = """
import sys, zc.lockfile
lock = zc.lockfile.LockFile(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_our_lock_is_dvcs(place: Path) -> None:
    with dvc_repo.locked(place), (place / ".dvc/tmp/lock").open("r+") as file:
        assert file.read().strip() == str(os.getpid())
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_an_output_that_the_lock_does_not_tell_of(place: Path) -> None:
    ensure(place)
    builder = Builder(place)
    entry = builder.locks.entry(STEP)
    assert entry is not None
    (name, content), *_ = entry.outs.items()
    builder.locks.record(STEP, dataclasses.replace(entry, outs={name: content}))
    assert [change.kind for change in builder.why(STEP)] == ["output"]
    builder.close()
    assert ensure(place) is Outcome.RESTORED
    assert made(place) == RIGHT
