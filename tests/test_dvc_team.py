"""What teams do to a project: links, ignored files, merges, moved and shared caches.

Real git and DVC; everything of the project is real but the jobs.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.dvc import lock_text
from pipelines.record import seal
from pipelines.record.journal import Journal, Line
from tests import warm
from tests.conftest import ROOT
from tests.dvc_runner import dvc
from tests.fake_project import FakeProject
from tests.vacuous import some
from tests.workspace import Ran

M = "models/m0000"
STAGES = ("export", "simplify", "quantize@rk3588", "build@rk3588", "analyze@rk3588")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, built; the first calibrates with a folder."""
    project = FakeProject(tmp_path_factory.mktemp("base") / "w")
    project.add_models(2)
    (project.root / M / "data").mkdir()
    (project.root / M / "data/0.png").write_bytes(b"0")
    project.edit("m0000", "npy: samples.npy", "images: data")
    project.edit("m0000", "    mean:", "    color: rgb\n    mean:")
    (project.root / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (project.root / ".venv").symlink_to(ROOT / ".venv")
    ran = project.doit()
    assert ran.code == 0, ran.err
    return project.root


@pytest.fixture
def project(base: Path, tmp_path: Path) -> FakeProject:
    subprocess.run(["cp", "-a", str(base), str(tmp_path / "w")], check=True)
    time.sleep(0.05)  # files younger than a tick of the clock are not sealed
    return of(tmp_path / "w")


def of(root: Path) -> FakeProject:
    project = FakeProject.__new__(FakeProject)
    project.root = root
    return project


def clean(project: FakeProject, *arguments: str) -> Ran:
    """Run, and see that neither front end then has anything to do."""
    ran = project.doit(*arguments)
    assert ran.code == 0, ran.err
    for _ in range(2):
        assert "Data and pipelines are up to date" in dvc(project.root, "status")
        again = project.doit()
        assert (again.code, again.steps) == (0, {}), again.err
    return ran


IGNORED: dict[str, tuple[str, str]] = {
    ".dvcignore of the project": (".dvcignore", "# of the system\n.DS_Store\n"),
    ".dvcignore of the model": (f"{M}/.dvcignore", "data/deep/\n"),
    "all but some": (f"{M}/.dvcignore", "/data/**\n!/data/deep/\n!*.png\n"),
    "comments alone": (".dvcignore", "# nothing yet\n\n"),
    "version control": (f"{M}/data/.git/HEAD", "x"),
    "a worktree": (f"{M}/data/deep/.git", "gitdir: x"),
}


@pytest.mark.parametrize("case", IGNORED)
def test_a_folder_is_what_dvc_says_it_is(case: str, project: FakeProject) -> None:
    data = project.root / M / "data"
    (data / "deep").mkdir()
    (data / "deep/1.png").write_bytes(b"1")
    (data / "deep/note.tmp").write_bytes(b"2")
    (data / ".DS_Store").write_bytes(b"3")
    place, text = IGNORED[case]
    (project.root / place).parent.mkdir(exist_ok=True)
    (project.root / place).write_text(text)
    clean(project)


def test_a_new_dvcignore_breaks_the_seal(project: FakeProject) -> None:
    clean(project)
    for place in (".dvcignore", "models/.dvcignore", f"{M}/.dvcignore"):
        time.sleep(0.05)
        project.doit()
        assert seal.check(str(project.root), []) is not None
        (project.root / place).write_text("0.png\n")
        assert seal.check(str(project.root), []) is None
        (project.root / place).unlink()


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("../elsewhere", f"{M}/data/link: a link to a folder, whose files would not count"),
        ("../nowhere", f"{M}/data/link: a link that leads nowhere"),
        (".", f"{M}/data/link: a link to a folder"),
    ],
)
def test_a_link_that_dvc_cant_follow_is_told(target: str, told: str, project: FakeProject) -> None:
    """DVC counts nothing behind a link to a folder, and refuses one that leads nowhere."""
    (project.root / M / "elsewhere").mkdir()
    link = project.root / M / "data/link"
    link.symlink_to(target)
    for command in ([], ["why"], ["step", "m0000:simplify"]):
        ran = project.doit(*command)
        assert ran.code == 3
        assert told in ran.err
        assert "Traceback" not in ran.err
    link.unlink()
    link.symlink_to("0.png")
    clean(project)


@pytest.mark.parametrize("below", ["", "deep/"])
def test_a_dvcignore_where_dvc_allows_none_is_told(below: str, project: FakeProject) -> None:
    place = project.root / M / "data" / below / ".dvcignore"
    place.parent.mkdir(exist_ok=True)
    place.write_text("*.tmp\n")
    ran = project.doit()
    assert ran.code == 3
    assert f"{M}/data/{below}.dvcignore: DVC takes no .dvcignore inside a folder" in ran.err
    assert f"write its lines into {M}/.dvcignore" in ran.err


MERGED: dict[str, Callable[[str], str]] = {
    "a stage twice": lambda text: text + text[text.index("  export:") : text.index("  quantize-")],
    "an older schema": lambda text: text.replace("'2.0'", "'1.0'"),
    "no schema": lambda text: text.partition("\n")[2],
    "another key": lambda text: f"{text}meta: 1\n",
    "an empty stage": lambda text: f"{text}  other:\n",
}


@pytest.mark.parametrize("case", MERGED)
def test_a_lock_that_dvc_refuses_is_written_anew(case: str, project: FakeProject) -> None:
    lock = project.root / M / "dvc.lock"
    whole = lock.read_text()
    lock.write_text(MERGED[case](whole))
    assert lock.read_text() != whole
    ran = clean(project)
    assert f"{M}/dvc.lock is damaged (" in ran.err
    assert set(ran.steps.values()) == {"restored"}
    assert lock.read_text() == whole


@pytest.mark.parametrize("left", ["", "build"])
def test_a_killed_run_brings_no_removed_model_back(left: str, project: FakeProject) -> None:
    folder = project.root / M
    stages = lock_text.split((folder / "dvc.lock").read_text())
    (folder / "dvc.lock").unlink()
    journal = Journal(project.root / ".npumake/journal")
    journal.append(Line(M, "export", None, stages["export"]))
    journal.leave()
    for place in folder.iterdir():  # git takes a model away, but not what it ignores
        if place.name != left:
            shutil.rmtree(place) if place.is_dir() else place.unlink()
    if not left:
        folder.rmdir()
    clean(project)
    assert not (folder / "dvc.lock").exists()
    assert folder.exists() == bool(left)


OUTS_MD5 = re.compile(r"(?<=[^:] )md5: [0-9a-f]{32}(?:\.dir)?$", re.M)


@pytest.mark.parametrize("value", ["null", "5", "[]", "zzz", "0" * 32, "../../../../x"])
def test_damaged_run_cache_entries_are_passed_over(value: str, project: FakeProject) -> None:
    for file in some((project.root / ".dvc/cache/runs").rglob("*")):
        if file.is_file():
            head, outs, rows = file.read_text().rpartition("outs:")
            rows, count = OUTS_MD5.subn(f"md5: {value}", rows)
            assert count
            file.write_text(head + outs + rows)
    (project.root / M / "dvc.lock").unlink()
    ran = clean(project)
    assert ran.steps == {f"m0000:{stage}": "ran" for stage in STAGES}


def test_a_cut_run_cache_entry_gives_no_wrong_size(project: FakeProject) -> None:
    """The last number of a torn file is still a number."""
    lock = project.root / M / "dvc.lock"
    whole = lock.read_text()
    for file in (project.root / ".dvc/cache/runs").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:-2])
    lock.unlink()
    clean(project)
    assert lock.read_text() == whole


@pytest.mark.parametrize("is_moved", [False, True])
def test_an_emptied_or_new_cache_is_filled(
    is_moved: bool, project: FakeProject, tmp_path: Path
) -> None:
    """Else `dvc repro` would run every step, and `dvc push` push nothing."""
    assert project.doit().code == 0
    assert seal.check(str(project.root), []) is not None
    if is_moved:
        (project.root / ".dvc/config.local").write_text(f"[cache]\n    dir = {tmp_path}/other\n")
        cache = tmp_path / "other"
    else:
        cache = project.root / ".dvc/cache"
        shutil.rmtree(cache)
    ran = clean(project)
    assert ran.steps == {}
    assert "Running stage" not in dvc(project.root, "repro")
    shutil.rmtree(project.root / M / "build")
    assert set(clean(project).steps.values()) == {"restored"}
    assert (cache / "files/md5").is_dir()


def worktree_with_shared_cache(project: FakeProject, tmp_path: Path) -> FakeProject:
    """A second checkout of other sources, whose `dvc gc` removes what this one's lock tells of."""
    config = f"[cache]\n    dir = {tmp_path}/shared\n"
    (project.root / ".dvc/config.local").write_text(config)
    assert project.doit().code == 0
    other = of(tmp_path / "other")
    subprocess.run(["cp", "-a", str(project.root), str(other.root)], check=True)
    for name in ("m0000", "m0001"):
        (other.root / f"models/{name}/net.onnx").write_bytes(b"other")
    assert set(other.doit().steps.values()) == {"ran"}
    time.sleep(0.05)
    assert clean(project).steps == {}
    assert seal.check(str(project.root), []) is not None
    dvc(other.root, "gc", "--workspace", "--force")
    return other


def objects(cache: Path) -> set[str]:
    files = (place for place in cache.glob("files/md5/*/*") if place.is_file())
    return {place.relative_to(cache).as_posix() for place in files}


def test_after_gc_of_another_worktree_the_cache_is_filled_again(
    project: FakeProject, tmp_path: Path
) -> None:
    """The outputs are in place, so nothing is stale; but `dvc push` needs the objects."""
    worktree_with_shared_cache(project, tmp_path)
    left = objects(tmp_path / "shared")
    assert seal.check(str(project.root), []) is None
    told = project.doit("why").out
    assert told.count("  up to date\n") == 2 * len(STAGES)
    lost = re.findall(r"  output (\S+) is not in the cache: the next run puts it there\n", told)
    assert len(lost) + 2 * len(STAGES) == len(told.splitlines()) and len(lost) >= 2 * len(STAGES)
    status = dvc(project.root, "status")
    assert set(re.findall(r"not in cache: +(\S+)", status)) == set(lost)
    assert "deleted" not in status and "modified" not in status
    assert clean(project).steps == {}
    assert len(objects(tmp_path / "shared") - left) >= len(STAGES)
    shutil.rmtree(project.root / M / "build")
    assert set(clean(project).steps.values()) == {"restored"}


def test_after_gc_of_another_worktree_what_is_gone_runs(
    project: FakeProject, tmp_path: Path
) -> None:
    """Neither a restore of what the cache has no more, nor "up to date"."""
    other = worktree_with_shared_cache(project, tmp_path)
    shutil.rmtree(project.root / M / "build")
    told = project.doit("why", "m0000").out
    assert "m0000:export  stale\n" in told and "restored" not in told
    status = dvc(project.root, "status")
    assert all(f"{M}/dvc.yaml:{stage.replace('@', '-')}" in status for stage in STAGES)
    ran = clean(project)
    assert ran.steps == {f"m0000:{stage}": "ran" for stage in STAGES}
    assert clean(other).steps == {}


def test_what_was_forgotten_runs_though_the_recipe_went_back(project: FakeProject) -> None:
    project.edit("m0000", "samples: 4", "samples: 3")
    assert "ran" in project.doit().steps.values()
    project.edit("m0000", "samples: 3", "samples: 4")
    told = project.doit("forget", "m0000").err
    assert told.count("forgotten") == 5
    ran = clean(project)
    assert ran.steps == {f"m0000:{stage}": "ran" for stage in STAGES}


def test_what_no_lock_tells_of_is_forgotten_too(project: FakeProject) -> None:
    (project.root / M / "dvc.lock").unlink()
    assert project.doit("forget", "m0000@rk3588").err.count("forgotten") == 3
    ran = clean(project)
    own = {f"m0000:{stage}": "ran" for stage in STAGES[2:]}
    assert ran.steps == {"m0000:export": "restored", "m0000:simplify": "restored", **own}


def test_dvcs_lock_by_links_is_taken_too(project: FakeProject) -> None:
    """flufl's lock takes a lock file of ours for another process that never lets go."""
    (project.root / ".dvc/tmp/lock").unlink()
    with (project.root / ".dvc/config").open("a") as file:
        file.write("    hardlink_lock = true\n")
    (project.root / M / "net.onnx").write_bytes(b"other")
    assert len(clean(project).steps) == 5
    assert not (project.root / ".dvc/tmp/lock").exists()


def modes(folder: Path) -> dict[str, set[int]]:
    """Kind -> the modes that occur."""
    found: dict[str, set[int]] = {"folder": set(), "run": set(), "object": set()}
    for place in [folder, *folder.rglob("*")]:
        kind = "folder" if place.is_dir() else "run" if "runs" in place.parts else "object"
        found[kind].add(stat.S_IMODE(place.stat().st_mode))
    return found


def test_a_cache_that_a_group_shares(project: FakeProject, tmp_path: Path) -> None:
    """As DVC makes it; else a colleague could add no object to a folder that we made."""
    with (project.root / ".dvc/config").open("a") as file:
        file.write(f"[cache]\n    dir = {tmp_path}/shared\n    shared = group\n")
    assert project.doit("-a").code == 0
    assert modes(tmp_path / "shared") == {"folder": {0o2775}, "run": {0o664}, "object": {0o444}}


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_files_have_the_users_umask(umask: int, mode: int, project: FakeProject) -> None:
    files = ("dvc.yaml", f"{M}/dvc.yaml", f"{M}/dvc.lock")
    for file in files:
        (project.root / file).unlink()
    shutil.rmtree(project.root / ".dvc/cache")
    before = os.umask(umask)
    try:
        assert project.doit("-a").code == 0
    finally:
        os.umask(before)
    assert {stat.S_IMODE((project.root / file).stat().st_mode) for file in files} == {mode}
    found = modes(project.root / ".dvc/cache")
    assert found == {"folder": {0o777 & ~umask}, "run": {mode}, "object": {0o444}}


def read_only(root: Path, command: str) -> Ran:
    """`./doit COMMAND` where nothing of the project can be written, by root neither."""
    mount = f"mount --bind {root} {root} && mount -o remount,bind,ro {root}"
    done = warm.mounted(mount, [str(root / "dodo.py"), *command.split()], root)
    if "mount" in done.err or "unshare" in done.err:
        pytest.skip("mounting is not allowed here")
    return Ran(*done)


@pytest.mark.parametrize("command", ["", "m0000", "forget m0000"])
def test_a_read_only_checkout_is_told(command: str, project: FakeProject) -> None:
    shutil.rmtree(project.root / ".npumake/seals", ignore_errors=True)
    ran = read_only(project.root, command)
    assert ran.code == 3
    assert "npumake: a file can't be read or written ([Errno 30] Read-only file" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("command", ["", "why", "list --all -s", "plan", "clean --dry-run"])
def test_a_read_only_checkout_answers_what_writes_nothing(
    command: str, project: FakeProject
) -> None:
    assert project.doit().steps == {}
    time.sleep(0.05)
    expected = project.doit(*command.split())
    assert read_only(project.root, command) == expected
    assert (expected.code, expected.err) == (0, "")


def test_text_is_utf_8_whatever_the_locale(project: FakeProject) -> None:
    """open() without an encoding takes the locale's, and Chinese ones may be GB18030."""
    (project.root / M / "net.onnx").rename(project.root / M / "模型.onnx")
    project.edit("m0000", "net.onnx", "模型.onnx")
    code = "import runpy, sys; sys.path.insert(0, '.'); sys.argv = ['dodo.py', *sys.argv[1:]]\n"
    code += "runpy.run_path('dodo.py', run_name='__main__')"
    for command in ([], ["-a"], ["why"], ["forget", "m0000"], []):
        done = subprocess.run(
            [sys.executable, "-X", "warn_default_encoding", "-W", "always", "-c", code, *command],
            cwd=project.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = set(re.findall(r"/pipelines/((?:front/)?\w+\.py:\d+): Enc", done.stderr))
        assert found == set()
    clean(project)
