"""npumake's wheel, `npumake init`, and what its repositories do with the wheel alone."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml
from PIL import Image

from quant.sha256 import sha256_of
from tests import warm_toolchains
from tests.conftest import ROOT, Pythons
from tests.own_repository import OwnRepository, build_wheel, environment, install, run
from tests.small_models import conv_net, samples

MODELS = {  # name -> what follows it after ./doit new
    "onnx": ["net.onnx"],
    "tflite": ["net.tflite", "--data", "gray"],
    "torch": ["net.py:build", "--shape", "1,3,64,64", "--data", "images"],
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def npumake(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("installed") / "env")


@pytest.fixture(scope="module")
def made(npumake: Path, tmp_path_factory: pytest.TempPathFactory) -> OwnRepository:
    return OwnRepository(npumake, tmp_path_factory.mktemp("made") / "mine")


@pytest.fixture
def own(made: OwnRepository, tmp_path: Path) -> OwnRepository:
    """A new repository, free to be changed."""
    return made.copy(tmp_path / "mine")


@pytest.fixture(scope="module")
def built(made: OwnRepository, tmp_path_factory: pytest.TempPathFactory) -> OwnRepository:
    """A model of each kind of source, by ./doit new with the vendor's SDK, committed."""
    folder = tmp_path_factory.mktemp("built")
    own = made.copy(folder / "mine")
    (folder / "net.onnx").write_bytes(conv_net())
    (folder / "samples.npy").write_bytes(samples())
    shutil.copyfile(ROOT / "models/mobilenet_v1_tflite/net.tflite", folder / "net.tflite")
    (folder / "gray").mkdir()
    Image.new("L", (32, 32), 90).save(folder / "gray/0.png")
    shutil.copyfile(ROOT / "models/sample_reshape/net.py", folder / "net.py")
    shutil.copytree(ROOT / "models/sample_reshape/data/images", folder / "images")
    for name, words in MODELS.items():
        ran = own.doit("new", name, *words, folder=folder)
        assert ran.code == 0, ran.err
        assert ran.out.splitlines()[-1].startswith(f"models/{name}/build/rk3588/model.rknn: ")
    own.commit("models")
    return own


def test_the_wheel_adds_one_name_and_needs_nothing(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        told = archive.read(metadata).decode()
    assert {name.split("/")[0] for name in names} == {"npumake", metadata.split("/")[0]}
    assert not any("__pycache__" in name or "/tests/" in name for name in names)
    needed = [line for line in told.splitlines() if line.startswith("Requires-Dist:")]
    assert needed and all(line.endswith("extra == 'cluster'") for line in needed), needed


def test_the_same_tree_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    assert build_wheel(tmp_path).read_bytes() == wheel.read_bytes()


def test_version_and_help(npumake: Path, tmp_path: Path) -> None:
    assert re.fullmatch(r"npumake \d+\.\d+\.\d+\n", run([npumake, "--version"], tmp_path).out)
    told = run([npumake, "--help"], tmp_path).out
    assert "npumake init DIR" in told
    assert max(map(len, told.splitlines())) <= 80


def test_a_new_repository_is_clean_after_its_two_commands(own: OwnRepository) -> None:
    for arguments in ((), ("test",)):
        ran = own.doit(*arguments)
        assert ran.code == 0, ran.err
    assert own.doit().out == "no models yet: ./doit new NAME FILE makes one of a network's file\n"
    assert own.status == ""


@pytest.mark.toolchain
def test_new_models_are_built_and_a_run_leaves_all_clean(built: OwnRepository) -> None:
    for name in MODELS:
        place = built.root / "models" / name
        assert (place / "build/rk3588/model.rknn").read_bytes()[:4] == b"RKNN"
        schema = (place / "recipe.yaml").read_text().splitlines()[0].partition("$schema=")[2]
        assert (place / schema).is_file()
    for arguments in ((), ("test",), ("why",)):
        ran = built.doit(*arguments)
        assert (ran.code, ran.steps) == (0, {}), ran.err
    assert built.status == ""
    assert "torch@rk3588" in built.doit().out
    dvc = run([built.root / ".venv/bin/dvc", "status"], built.root)
    assert dvc.out.startswith("Data and pipelines are up to date"), dvc.out


@pytest.mark.toolchain
def test_a_release_reaches_a_second_clone(built: OwnRepository, tmp_path: Path) -> None:
    """By git and DVC remotes; there it is checked, and built again to the same SHA-256."""
    owner = built.copy(tmp_path / "owner")
    owner.dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    owner.commit("a remote")
    owner.dvc("push", "--run-cache")
    ran = owner.doit("release", "torch", "--version", "1.0.0", "--stage", "prod")
    assert (ran.code, owner.status) == (0, ""), ran.err
    archive = owner.root / "dist/torch-1.0.0.tar.gz"
    assert f"SHA-256 {sha256_of(archive)}" in ran.out
    owner.git("init", "-q", "--bare", str(tmp_path / "shared.git"))
    owner.git("push", "-q", str(tmp_path / "shared.git"), "HEAD:refs/heads/main", "--tags")
    owner.git("clone", "-q", "-b", "main", str(tmp_path / "shared.git"), str(tmp_path / "clone"))
    clone = OwnRepository.of(tmp_path / "clone")
    ran = clone.doit("--pull")
    assert (ran.code, set(ran.steps.values())) == (0, {"restored"}), ran.err
    assert ["torch@v1.0.0", "prod"] in [
        line.split()[:2] for line in clone.doit("release", "--list").out.splitlines()
    ]
    ran = clone.doit("release", "--check", archive)
    assert (ran.code, ran.out.endswith("files are as they were released\n")) == (0, True), ran.err
    ran = clone.doit("verify")
    assert ran.code == 0, ran.out + ran.err
    told = [
        re.fullmatch(r"(\w+): (\d+) of (\d+) outputs are the same", row)
        for row in ran.out.split("\n")[:-1]
    ]
    assert [(one[1], one[2] == one[3]) for one in told if one] == [
        (name, True) for name in sorted(MODELS)
    ]
    for name in MODELS:
        place = f"models/{name}/build/rk3588/model.rknn"
        assert sha256_of(clone.root / place) == sha256_of(owner.root / place)
    clone.git("config", "user.name", "t2")
    clone.git("config", "user.email", "t@t")
    assert clone.doit("release", "torch", "--version", "1.0.0").code == 0
    assert (clone.root / "dist/torch-1.0.0.tar.gz").read_bytes() == archive.read_bytes()
    assert clone.status == ""


@pytest.mark.toolchain
def test_another_engine_is_one_line_and_why_tells(built: OwnRepository, wheel: Path) -> None:
    """The other engine has another version of a stage, and other pins of a toolchain."""
    pin, other = built.root / "npumake.txt", built.root / "wheels" / "other.whl"
    old = pin.read_text()
    _rewrite(
        wheel,
        other,
        {
            "npumake/engine/pipelines/stages/versions.yaml": (b"export: ", b"export: 9"),
            "npumake/engine/toolchains/rknn-2.5.0.txt": (b"", b"# other pins\n"),
        },
    )
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    line = f"wheels/other.whl --hash=sha256:{digest}"
    pin.write_text("\n".join([*old.splitlines()[:-1], line, ""]))
    told = built.doit("why").out
    assert re.search(r"onnx:export +stale\n  stage version export \d+ -> 9\d+\n", told), told
    assert re.search(r"onnx:build@rk3588 +stale\n  toolchain rknn-2.5.0 changed\n", told), told
    pin.write_text(old)
    other.unlink()
    assert "stale" not in built.doit("why").out
    assert built.status == ""


def _rewrite(wheel: Path, to: Path, changes: dict[str, tuple[bytes, bytes]]) -> None:
    """The wheel again, with the first of some bytes of some files replaced."""
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(to, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name in changes:
                data = data.replace(*changes[name], 1)
            target.writestr(name, data)


WRONG = {
    "no hash": ("wheels/x.whl", "npumake.txt:2: `wheels/x.whl` has no hash"),
    "no file": (f"wheels/x.whl --hash=sha256:{'0' * 64}", "npumake.txt:2: no file wheels/x.whl"),
    "no commit": ("git+https://host.invalid/x.git@main", "has no hash"),
    "two lines": ("a\nb", "npumake.txt:3: one line says which engine, not 2"),
    "none": ("", "npumake.txt: one line says which engine, not 0"),
}


@pytest.mark.parametrize(("line", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_pin_is_told_with_its_place(own: OwnRepository, line: str, told: str) -> None:
    (own.root / "npumake.txt").write_text(f"# the engine\n{line}\n")
    ran = own.doit("why")
    assert ran.code == 1
    assert told in ran.err
    assert "Traceback" not in ran.err


def test_a_wheel_that_changed_is_refused(own: OwnRepository) -> None:
    """What runs is what was pinned: the engine that is there already goes on."""
    (wheel,) = (own.root / "wheels").iterdir()
    wheel.write_bytes(wheel.read_bytes() + b"x")
    ran = own.doit()
    assert ran.code == 1
    assert f"{wheel.name} is another file than its hash says" in ran.err


EDITS = {
    "was changed": ("pipelines/record/seal.py", b"# mine\n"),
    "was added": ("quant/mine.py", b"x = 1\n"),
    "is missing": ("docs/recipe.md", None),
}


@pytest.mark.parametrize(("what", "edit"), EDITS.items(), ids=EDITS)
def test_an_engine_that_was_edited_is_told(
    own: OwnRepository, tmp_path: Path, what: str, edit: tuple[str, bytes | None]
) -> None:
    """A copy of the repository, whose files have new times, is no edit."""
    assert own.doit().code == 0
    own = own.copy(tmp_path / "copied")
    assert own.doit().code == 0
    name, text = edit
    place = own.root / ".npumake/engine" / name
    if text is None:
        place.unlink()
    else:
        place.write_bytes((place.read_bytes() if place.exists() else b"") + text)
    ran = own.doit()
    assert (ran.code, ran.out) == (3, "")
    told = f"the engine is not the one that npumake.txt pins: {name} {what}"
    assert ran.err.splitlines()[0] == f"npumake: {told}"
    shutil.rmtree(own.root / ".npumake/engine")
    assert own.doit().code == 0


def test_documents_are_named_where_they_are(built: OwnRepository) -> None:
    """In a repository of one's own they are the engine's."""
    texts = [*(built.root / "models").glob("*/recipe.yaml"), built.root / "npumake.txt"]
    named = [re.findall(r"\S*docs/\w+\.md", text.read_text()) for text in texts]
    assert all(named), named
    assert all((built.root / path).is_file() for paths in named for path in paths), named
    (built.root / "models" / "none").mkdir()
    (built.root / "models" / "none" / "recipe.yaml").write_text("")
    ran = built.doit("none")
    shutil.rmtree(built.root / "models" / "none")
    assert "; .npumake/engine/docs/recipe.md has the other keys" in ran.err


def test_a_command_of_doit_is_told_where_it_is(npumake: Path, tmp_path: Path) -> None:
    ran = run([npumake, "new", "net", "net.onnx"], tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "npumake: `new` is a command of a repository's ./doit\n"
        "  in one that `npumake init DIR` made: ./doit new net net.onnx\n"
    )


def test_no_file_is_overwritten(npumake: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/README.md").write_text("mine\n")
    ran = run([npumake, "init", "mine"], tmp_path)
    assert ran.code == 3
    assert "mine has README.md already, and no file is overwritten" in ran.err
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["README.md"]


def test_the_ci_examples_are_yaml(own: OwnRepository) -> None:
    github = yaml.safe_load((own.root / ".github/workflows/npumake.yml").read_text())
    gitlab = yaml.safe_load((own.root / ".gitlab-ci.yml").read_text())
    steps = [step["run"] for step in github["jobs"]["models"]["steps"] if "run" in step]
    assert steps == gitlab["models"]["script"]
    assert steps[:2] == ["./doit", "./doit test"]


CI_FILES = {
    ".github/workflows/npumake.yml": "vendor.github-workflows",
    ".gitlab-ci.yml": "vendor.gitlab-ci",
}


# Prints the exit code of each, behind its words.
CHECKS = """
import check_jsonschema
for place in {places!r}:
    try:
        check_jsonschema.main(["--builtin-schema", {schema!r}, place])
    except SystemExit as ended:
        print(f"{{place}} ends with {{ended.code}}")
"""


@pytest.mark.toolchain
@pytest.mark.parametrize("name", CI_FILES)
def test_the_ci_examples_meet_their_schema(
    own: OwnRepository, toolchain_python: Pythons, tmp_path: Path, name: str
) -> None:
    """GitHub's and GitLab's own, as check-jsonschema carries them; a wrong file is refused."""
    assert toolchain_python["schemas"].exists()
    right, wrong = str(own.root / name), str(tmp_path / "wrong.yml")
    text = Path(right).read_text()
    Path(wrong).write_text(text.replace("script:", "skript:").replace("on:", "in:"))
    script = CHECKS.format(places=[right, wrong], schema=CI_FILES[name])
    told = warm_toolchains.run("schemas", script, tmp_path)
    ends = [line for line in told.splitlines() if " ends with " in line]
    assert ends == [f"{right} ends with 0", f"{wrong} ends with 1"], told


def test_git_pins_the_commit(own: OwnRepository, wheel: Path, tmp_path: Path) -> None:
    """pip builds the commit's wheel; here of a repository whose wheel is made already."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "made"\nbackend-path = ["."]\n'
        '[project]\nname = "npumake"\nversion = "0.1.0"\n'
    )
    (source / wheel.name).write_bytes(wheel.read_bytes())
    (source / "made.py").write_text(
        "import shutil\n"
        "def build_wheel(folder, *rest):\n"
        f"    shutil.copy({wheel.name!r}, folder)\n"
        f"    return {wheel.name!r}\n"
    )
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run(["git", *words], cwd=source, check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=source, check=True, capture_output=True, text=True
    ).stdout.strip()
    (own.root / "npumake.txt").write_text(f"git+file://{source}@{commit}\n")
    ran = own.doit("--version")
    assert ran.code == 0, ran.err
    assert (own.root / ".npumake/engine/pinned").read_text().endswith(commit)


# A module `venv` whose environments hold no more than a pip that builds the wheel {wheel}.
VENV = """
import os, sys
os.makedirs(sys.argv[1] + "/bin")
with open(sys.argv[1] + "/bin/python", "w", opener=lambda *way: os.open(*way, 0o755)) as file:
    file.write('''#!/bin/sh
test "$1 $2 $3" = "-m pip wheel" || exit 1
while test "$1" != --wheel-dir; do shift; done
cp {wheel} "$2"
''')
"""


def test_a_python_without_pip_is_given_one_to_throw_away(
    own: OwnRepository, npumake: Path, wheel: Path, tmp_path: Path
) -> None:
    (own.root / "npumake.txt").write_text(f"git+https://host.invalid/x.git@{'0' * 40}\n")
    code = VENV.format(wheel=wheel)
    for text, expected in ((code, (0, True)), ("raise SystemExit(1)\n", (1, False))):
        shutil.rmtree(own.root / ".npumake/engine", ignore_errors=True)
        (tmp_path / "venv.py").write_text(text)
        done = subprocess.run(
            [npumake.with_name("python"), "-B", own.root / "doit", "--version"],
            env={**environment(), "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        is_there = (own.root / ".npumake/engine/pinned").exists()
        assert (done.returncode, is_there) == expected, done.stderr
    assert "npumake: this Python can't make a virtual environment\n  install" in done.stderr
    assert not [*own.root.glob(".npumake/fetch-*")]
