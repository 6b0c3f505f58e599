"""The fast path tells what the slow one would: the same exit code, steps and stdout."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.files.shelf import Shelf
from pipelines.record import digest, seal, whole
from pipelines.record.whole import Memory, Whole
from tests import terminal, warm
from tests.conftest import ROOT
from tests.fake_project import STAGES, FakeProject
from tests.workspace import Ran


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> FakeProject:
    """Two models that calibrate with folders of files, built and not sealed."""
    project = FakeProject(tmp_path_factory.mktemp("base"))
    project.add_models(2)
    for name in ("m0000", "m0001"):
        data = project.root / "models" / name / "data" / "deep"
        data.mkdir(parents=True)
        (data / "0.png").write_bytes(b"0")
        project.edit(name, "npy: samples.npy", "images: data")
        project.edit(name, "    mean:", "    color: rgb\n    mean:")
    ran = run(project.root, is_sealing=False)
    assert ran.code == 0, ran.err
    return project


@pytest.fixture
def root(base: FakeProject, tmp_path: Path) -> Path:
    """The built project again, sealed."""
    root = copy(base.root, tmp_path / "sealed")
    assert run(root).code == 0
    assert is_sealed(root)
    return root


def copy(root: Path, to: Path) -> Path:
    subprocess.run(["cp", "-a", str(root), str(to)], check=True)
    time.sleep(0.05)  # files younger than a tick of the clock are not sealed
    return to


def run(
    root: Path,
    *arguments: str,
    is_sealing: bool = True,
    environment: Mapping[str, str] | None = None,
) -> Ran:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST") and k != seal.OFF}
    off = {} if is_sealing else {seal.OFF: "1"}
    given = {**kept, **off, **(environment or {})}
    if not environment:  # Python reads some of it when it starts
        return Ran(*warm.doit(root, arguments, given, timeout_s=60))
    done = subprocess.run(
        [sys.executable, "-s", "dodo.py", *arguments],
        cwd=root,
        env=given,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def require_same(root: Path, other: Path, *arguments: str) -> None:
    """Run in both projects at once, with seals in the first alone."""
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(run, other, *arguments, is_sealing=False)
        assert outcome(run(root, *arguments)) == outcome(slow.result())


def outcome(ran: Ran) -> tuple[int, str, dict[str, str], list[str]]:
    """All that must be the same; the time that a step took need not be, nor the order in which
    steps are told to be ignored."""
    return (
        ran.code,
        re.sub(r"\d+\.\d s$", "", ran.out, flags=re.M) if ran.steps else ran.out,
        ran.steps,
        [] if ran.steps else sorted(ran.err.splitlines()),
    )


def is_sealed(root: Path, *arguments: str) -> bool:
    return seal.check(str(root), arguments) is not None


def touch(path: str) -> Callable[[Path], object]:
    return lambda root: (root / path).touch()


def write(path: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / path).write_text(text)


def append(path: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / path).write_text((root / path).read_text() + text)


def remove(path: str) -> Callable[[Path], object]:
    def act(root: Path) -> None:
        place = root / path
        shutil.rmtree(place) if place.is_dir() else place.unlink()

    return act


def edit(path: str, old: str, new: str) -> Callable[[Path], object]:
    def act(root: Path) -> None:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new))

    return act


def wrong_name(root: Path) -> None:
    (root / "models/n").mkdir()
    (root / "models/n/recipe.yml").write_text("")


def new_model(root: Path) -> None:
    shutil.copytree(
        root / "models/m0000", root / "models/n", ignore=shutil.ignore_patterns("build", "dvc.*")
    )
    edit("models/n/recipe.yaml", "m0000", "n")(root)


def same_size_and_time(root: Path) -> None:
    """Only the time of the inode's change tells."""
    place = root / "models/m0000/net.onnx"
    before = place.stat()
    place.write_bytes(place.read_bytes()[::-1])
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap(root: Path) -> None:
    """Another file in the place of an output, by renaming."""
    place = root / "models/m0000/build/rk3588/model.rknn"
    other = place.with_name("other")
    other.write_bytes(b"x" * place.stat().st_size)
    os.utime(other, ns=(place.stat().st_atime_ns, place.stat().st_mtime_ns))
    other.replace(place)


M = "models/m0000"


def lose(name: str) -> Callable[[Path], object]:
    """Take from the cache what an output, or a member of one, is kept as."""

    def act(root: Path) -> None:
        md5 = hashlib.md5((root / M / "build" / name).read_bytes()).hexdigest()
        (root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()

    return act


CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda root: None,
    "touched source": touch(f"{M}/net.onnx"),
    "touched recipe": touch(f"{M}/recipe.yaml"),
    "other source": write(f"{M}/net.onnx", "other"),
    "same size and time": same_size_and_time,
    "new file in a data folder": write(f"{M}/data/1.png", "1"),
    "new file in a folder of a data folder": write(f"{M}/data/deep/1.png", "1"),
    "other file in a data folder": write(f"{M}/data/deep/0.png", "1"),
    "lost file of a data folder": remove(f"{M}/data/deep/0.png"),
    "lost data folder": remove(f"{M}/data"),
    "new model": new_model,
    "new folder without a recipe": lambda root: (root / "models/n").mkdir(),
    "recipe.yml": wrong_name,
    "lost model": remove(M),
    "lost recipe": remove(f"{M}/recipe.yaml"),
    "lost output": remove(f"{M}/build/rk3588/model.rknn"),
    "edited output": write(f"{M}/build/rk3588/model.rknn", "x"),
    "swapped output": swap,
    "new file in an output folder": write(f"{M}/build/rk3588/quantize/x", "x"),
    "lost build": remove(f"{M}/build"),
    "edited lock": edit(f"{M}/dvc.lock", "m0000:build", "m0000:other"),
    "lost lock": remove(f"{M}/dvc.lock"),
    "truncated lock": write(f"{M}/dvc.lock", ""),
    "edited dvc.yaml": append(f"{M}/dvc.yaml", "# x\n"),
    "lost dvc.yaml": remove(f"{M}/dvc.yaml"),
    "lost root dvc.yaml": remove("dvc.yaml"),
    "comment in a recipe": append(f"{M}/recipe.yaml", "# x\n"),
    "other parameter": edit(f"{M}/recipe.yaml", "samples: 2", "samples: 3"),
    "bad recipe": append(f"{M}/recipe.yaml", "nonsense: 1\n"),
    "failing gate": append(f"{M}/recipe.yaml", "gates: {min_cosine: 1}\n"),
    "holding gate": append(f"{M}/recipe.yaml", "gates: {min_cosine: 0.5}\n"),
    "raised version": edit("pipelines/stages/versions.yaml", "export: ", "export: 1"),
    "edited code": append("pipelines/report/rows.py", "_NOTE = 'other note'\n"),
    "new code": write("pipelines/other.py", ""),
    "module that hides another": write("yaml.py", "raise SystemExit(5)\n"),
    "unused pins": append("toolchains/torch.txt", "# x\n"),
    "new pins": write("toolchains/other.txt", ""),
    "ignored step": write(".npumake/ignored.json", '["m0000:export"]'),
    "lost object": lose("rk3588/model.rknn"),
    "lost object of a folder's member": lose("rk3588/quantize/a.data"),
    "DVC's cache elsewhere": write(".dvc/config.local", "[cache]\n    dir = other\n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_fast_is_slow_after(change: str, root: Path, tmp_path: Path) -> None:
    other = copy(root, tmp_path / "other")
    for place in (root, other):
        CHANGES[change](place)
    for _ in range(2):  # what the first run seals, if it does, must be as true
        require_same(root, other)


@pytest.mark.parametrize(
    "arguments",
    [
        ["m0000"],
        ["m0001:export"],
        ["m000*"],
        ["-n", "2"],
        ["run", "--continue"],
        ["nonsense"],
        ["--nonsense"],
        ["why"],
        ["list"],
        ["-a"],
        ["m0000@rk3588", "-n2"],
    ],
)
def test_fast_is_slow_with(arguments: list[str], root: Path, tmp_path: Path) -> None:
    other = copy(root, tmp_path / "other")
    for _ in range(2):
        require_same(root, other, *arguments)


@pytest.mark.parametrize(
    "environment", [{"NO_COLOR": "1"}, {"COLUMNS": "40"}, {"TERM": "dumb"}, {"LC_ALL": "C"}]
)
def test_fast_is_slow_under(environment: dict[str, str], root: Path) -> None:
    fast = run(root, environment=environment)
    slow = run(root, is_sealing=False, environment=environment)
    assert (fast.code, fast.out, fast.err) == (slow.code, slow.out, slow.err)


@pytest.mark.parametrize("name", ["DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"])
def test_fast_is_slow_under_another_configuration_of_dvc(
    name: str, root: Path, tmp_path: Path
) -> None:
    """The user's or the system's: first none, then another cache."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: str(home)}
    assert run(root, environment=environment).code == 0
    assert is_whole_cache(root / ".dvc/cache")
    (home / "config").write_text(f"[cache]\n    dir = {tmp_path}/cache\n")
    assert run(root, environment=environment).code == 0
    assert is_whole_cache(tmp_path / "cache")


def is_whole_cache(cache: Path) -> bool:
    return len(list((cache / "files/md5").rglob("*"))) > 5


def test_rehash_settles_what_no_time_tells(root: Path) -> None:
    """The memory holds the old MD5 under the new stamp, as after a store that left no trace."""
    net, memory = root / M / "net.onnx", Shelf(root / ".npumake/contents.txt", digest.FORM)
    net.write_bytes(net.read_bytes()[::-1])
    time.sleep(0.05)
    known = memory.get(M)
    known[f"{M}/net.onnx"][1:] = seal.stamp(str(net)) or []
    memory.put(M, known)
    memory.save()
    assert run(root).steps == {}
    assert is_sealed(root)
    assert run(root, "--rehash").steps["m0000:export"] == "ran"
    assert run(root, "--rehash", "m0000").steps == {}
    assert run(root).steps == {}


def test_a_seal_tells_the_report_and_imports_nothing(root: Path) -> None:
    code = (
        "import runpy, sys; sys.argv = ['dodo.py']; sys.path.insert(0, '.')\n"
        "try: runpy.run_path('dodo.py', run_name='__main__')\n"
        "finally: print(*sorted({'doit', 'yaml', 'pipelines.building.project'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    *report, imported = done.stdout.split("\n")[:-1]
    assert imported == ""
    assert report == run(root, is_sealing=False).out.splitlines()


def test_a_run_that_built_is_sealed_too(root: Path) -> None:
    edit(f"{M}/recipe.yaml", "samples: 2", "samples: 3")(root)
    time.sleep(0.05)  # a run that begins within a tick of the clock after an edit is not sealed
    assert not is_sealed(root)
    assert run(root).steps == {"m0000:analyze@rk3588": "ran"}
    assert is_sealed(root)
    remove(f"{M}/build/rk3588/model.rknn")(root)
    assert run(root).steps == {"m0000:build@rk3588": "restored"}
    assert is_sealed(root)


def test_a_first_build_is_sealed(tmp_path: Path) -> None:
    project = FakeProject(tmp_path)
    project.add_models(1)
    run(tmp_path, "list")  # compiles; writes no dvc.yaml
    time.sleep(0.05)
    assert len(run(tmp_path).steps) == 5
    assert is_sealed(tmp_path)


def test_what_changes_while_a_run_goes_on_is_not_sealed(root: Path) -> None:
    """The run has read the recipe before the edit: a seal of the new one would be a lie."""
    write(f"{M}/net.onnx", "other")(root)
    job = root / "pipelines/stages/export/jobs/from_onnx.py"
    job.write_text(
        job.read_text() + "\n_run = run\n"
        "def run(job):\n"
        f"    with open({str(root / M / 'recipe.yaml')!r}, 'a') as file:\n"
        "        file.write('gates: {min_cosine: 1}\\n')\n"
        "    _run(job)\n"
    )
    first = run(root)
    assert (first.code, first.steps["m0000:export"]) == (0, "ran")
    assert not is_sealed(root)
    assert run(root).code == 1


def test_files_of_this_instant_are_not_trusted(root: Path) -> None:
    code = (
        "import runpy, sys; sys.argv = ['dodo.py']; sys.path.insert(0, '.')\n"
        "from pipelines.record import seal\n"
        "from pathlib import Path\n"
        "Path('models/m0000/net.onnx').touch()\n"
        "runpy.run_path('dodo.py', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True)
    assert done.returncode == 0
    assert not is_sealed(root)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("nothing", "m0000 m0001"),
        ("touched source", "m0001"),
        ("same size and time", "m0001"),
        ("new file in a folder of a data folder", "m0001"),
        ("comment in a recipe", "m0001"),
        ("other parameter", "m0001"),
        ("failing gate", "m0001"),
        ("bad recipe", "m0001"),
        ("lost output", "m0001"),
        ("swapped output", "m0001"),
        ("edited lock", "m0001"),
        ("edited dvc.yaml", "m0001"),
        # The root dvc.yaml, or what is common to all, would be another.
        ("lost root dvc.yaml", ""),
        ("description", ""),
        ("new model", ""),
        ("lost model", ""),
        ("lost recipe", ""),
        ("recipe.yml", ""),
        ("raised version", ""),
        ("edited code", ""),
        ("new code", ""),
        ("unused pins", ""),
        ("ignored step", ""),
        ("lost object", ""),
        ("DVC's cache elsewhere", ""),
    ],
)
def test_only_models_with_nothing_to_do_are_spared(change: str, left: str, root: Path) -> None:
    describe = append(f"{M}/recipe.yaml", "description: x\n")
    (CHANGES | {"description": describe})[change](root)
    assert spared(root) == left.split()


def spared(root: Path) -> list[str]:
    code = (
        "from pipelines.front.doit import sparing\n"
        "from pathlib import Path\n"
        "from pipelines.building.project import Project\n"
        "here = Project(Path.cwd())\n"
        "sparing.spare_whole_models(here); print(*sorted(here.spared))"
    )
    plain = warm.front_place().with_name("plain")  # has all that this imports
    done = warm.capture(["-c", code], root, os.environ, timeout_s=60, place=plain)
    assert done.code == 0, done.err
    return done.out.split()


def test_a_spared_model_stays_so_after_runs_that_build_others(root: Path) -> None:
    for text in ("a", "b"):
        write(f"{M}/net.onnx", text)(root)
        time.sleep(0.05)
        assert set(run(root).steps) == {f"m0000:{stage}" for stage in STAGES}
        assert spared(root) == ["m0000", "m0001"]
    write("models/m0001/net.onnx", "c")(root)
    assert spared(root) == ["m0000"]
    assert set(run(root).steps) == {f"m0001:{stage}" for stage in STAGES}


FAILING = """
def run(job):
    if b"fail" in job.inputs["source"].read_bytes():
        raise SystemExit("on purpose")
"""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("recipe.yaml", "gates: {max_size_ratio: 0.1}\n"),
        ("recipe.yaml", "nonsense: 1\n"),
        ("net.onnx", "fail"),
    ],
)
def test_others_are_spared_beside_a_model_that_fails(root: Path, file: str, text: str) -> None:
    """It is read and judged every time, with the same answer."""
    change = append if file == "recipe.yaml" else write
    change(f"{M}/{file}", text)(root)
    if text == "fail":
        job = root / "pipelines/stages/export/jobs/from_onnx.py"
        job.write_text(job.read_text().replace("def run(job):\n", FAILING))
    time.sleep(0.05)
    first = run(root)
    assert first.code != 0
    assert spared(root) == ["m0001"]
    again = run(root)
    assert (again.code, again.out) == (first.code, first.out)
    assert spared(root) == ["m0001"]
    write("models/m0001/net.onnx", "other")(root)
    assert spared(root) == []
    assert set(run(root).steps) >= {f"m0001:{stage}" for stage in STAGES}


@pytest.mark.parametrize("names", [[], ["m0000"], ["m0000", "m0001"]])
def test_a_failing_gate_is_sealed_and_fails_each_time(names: list[str], root: Path) -> None:
    """It is told as a run tells it, without one; what changes it or mends it is noticed."""
    CHANGES["failing gate"](root)
    time.sleep(0.05)
    first = run(root, *names)
    assert (first.code, first.steps) == (1, {})
    assert "below min_cosine 1" in first.err
    assert is_sealed(root, *names)
    assert run(root, *names) == first == run(root, *names, is_sealing=False)
    edit(f"{M}/recipe.yaml", "min_cosine: 1", "min_cosine: 0.9999")(root)
    other = run(root, *names)
    assert (other.code, "below min_cosine 0.9999" in other.err) == (1, True)
    time.sleep(0.05)
    edit(f"{M}/recipe.yaml", "min_cosine: 0.9999", "min_cosine: 0.5")(root)
    for _ in range(2):
        assert run(root, *names) == Ran(0, first.out, "")
    assert is_sealed(root, *names)


def test_what_fails_a_gate_as_it_is_built_is_sealed_too(root: Path) -> None:
    append(f"{M}/recipe.yaml", "gates: {min_cosine: 1}\n")(root)
    write(f"{M}/net.onnx", "other")(root)
    time.sleep(0.05)
    built = run(root)
    assert (built.code, len(built.steps)) == (1, len(STAGES))
    assert is_sealed(root)
    again = run(root)
    assert (again.code, again.steps, again.err in built.err) == (1, {}, True)
    assert again == run(root, is_sealing=False)


def test_a_model_whose_input_another_will_make_is_not_spared(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).write_text(name)
    state = {
        name: seal.state_of([seal.packed(seal.stamp(f"{tmp_path}/{name}"))]) for name in "abcd"
    }
    needs = {"a": [], "b": ["a"], "c": ["b"], "d": []}
    models = {name: Whole([name], state[name], needs[name], "", {}) for name in "abcd"}
    assert [*Memory(models, [], []).unchanged(tmp_path)] == ["a", "b", "c", "d"]
    (tmp_path / "a").write_text("other")
    assert [*Memory(models, [], []).unchanged(tmp_path)] == ["d"]


@pytest.mark.parametrize("text", ["", "{", "x\n", "\n\n", "FORM\n", 'FORM\n""\t{}', 'FORM\n""\t[]'])
def test_a_damaged_memory_of_whole_models_spares_none(root: Path, text: str) -> None:
    form = (root / whole.FILE).read_text().partition("\n")[0]
    (root / whole.FILE).write_text(text.replace("FORM", form))
    assert spared(root) == []


def test_a_torn_line_of_the_memory_spares_none(root: Path) -> None:
    held = (root / whole.FILE).read_text()
    (root / whole.FILE).write_text(held[: len(held) - 100])
    assert spared(root) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"form": 0}', '{"form": 1, "arguments": []}'])
def test_a_damaged_seal_is_none(root: Path, text: str) -> None:
    (root / seal.place([])).write_text(text)
    assert not is_sealed(root)
    assert run(root).code == 0
    assert is_sealed(root)


def test_no_seal_while_another_run_goes_on_or_left_a_journal(root: Path) -> None:
    with (root / ".npumake/run.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not is_sealed(root)
    assert is_sealed(root)
    left = root / ".npumake/journal/1-x.jsonl"
    left.write_text("")
    assert not is_sealed(root)
    assert run(root).code == 0
    assert not left.exists()
    assert is_sealed(root)


def test_a_reader_that_went_away_is_no_traceback(root: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-s", str(root / "dodo.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=30)
    assert err == b""


def test_few_seals_are_kept(root: Path) -> None:
    for number in range(20):
        run(root, "-n", str(number + 1), "m0000:export")
    assert 10 <= len(list((root / ".npumake/seals").iterdir())) <= 16


def test_seal_imports_the_standard_library_alone() -> None:
    code = "import sys; sys.path.insert(0, '.'); import pipelines.record.seal; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    heavy = {"pathlib", "subprocess", "hashlib", "typing", "argparse"}
    assert heavy.isdisjoint(done.stdout.split()), done.stderr


def test_a_report_fits_the_terminal_that_it_is_told_to(root: Path) -> None:
    """Sealed or not; first cells too long for it stand on lines of their own."""
    name = "m0000_with_a_name_far_longer_than_most"
    (root / "models" / "m0000").rename(root / "models" / name)
    recipe = root / "models" / name / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("model: m0000", f"model: {name}"))
    assert run(root).code == 0
    wide = run(root).out
    assert f"{name}@rk3588  0/0/5" in wide
    for columns in (80, 80, 60, 120):
        told = on_terminal(root, columns)
        assert told == on_terminal(root, columns, is_sealing=False)
        fits = columns == 120
        assert (f"{name}@rk3588\n" in told) != fits
        assert (max(map(len, told.splitlines())) <= 80) != fits
    assert run(root).out == wide


def on_terminal(root: Path, columns: int, *, is_sealing: bool = True) -> str:
    """What a run prints on a terminal of so many columns."""
    off = {} if is_sealing else {seal.OFF: "1"}
    environment = {k: v for k, v in os.environ.items() if k != seal.OFF} | off
    return terminal.told(root, [], environment | {"COLUMNS": str(columns)}, is_narrated=False)
