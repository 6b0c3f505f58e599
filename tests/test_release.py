"""./doit release: on the SDK's own files, twice, in a second clone, and with what was tampered."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipelines.release import archive, check, differences, opened
from quant.fault import Fault
from tests import warm_toolchains
from tests.checkout import Checkout
from tests.conftest import Pythons
from tests.small_models import conv_net, recipe, samples
from tests.workspace import Workspace

TOP, TIME = "net-1.2.0", 1_700_000_000
TARGETS = {"rk3588": {}, "int8": {"backend": "fixed_point", "input_scale": 16}}


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Model `net`, built, committed, pushed to a folder and released as 1.2.0 in prod."""
    place = tmp_path_factory.mktemp("release")
    checkout = Checkout(place / "owner")
    for key, value in (("user.name", "t"), ("user.email", "t@t")):
        checkout.git("config", key, value)
    checkout.add("net", recipe(targets=TARGETS), net__onnx=conv_net(), samples__npy=samples())
    checkout.commit("recipe")
    ran = checkout.doit()
    assert ran.code == 0, ran.err
    checkout.dvc("remote", "add", "-d", "store", str(place / "store"))
    refused = checkout.doit("release", "net", "--version", "1.2.0")
    assert (refused.code, refused.out) == (3, "")
    assert "the working tree is not what is committed:" in refused.err
    assert "  ?? models/net/dvc.lock\n" in refused.err
    checkout.commit("build")
    checkout.dvc("push")
    ran = checkout.doit("release", "net", "--version", "1.2.0", "--stage", "prod")
    assert ran.code == 0, ran.err
    return checkout


def released(checkout: Checkout) -> Path:
    return checkout.root / "dist" / f"{TOP}.tar.gz"


def contents(place: Path) -> dict[str, bytes]:
    with tarfile.open(place) as tar:
        return {
            one.name.removeprefix(f"{TOP}/"): tar.extractfile(one).read()  # type: ignore[union-attr]
            for one in tar.getmembers()
        }


@pytest.mark.toolchain
def test_what_is_in_it(owner: Checkout) -> None:
    held = contents(released(owner))
    told = json.loads(held["MANIFEST.json"])
    sums = dict(line.split("  ")[::-1] for line in held["SHA256SUMS"].decode().splitlines())
    assert {*sums, "SHA256SUMS"} == set(held)
    assert all(hashlib.sha256(held[name]).hexdigest() == digest for name, digest in sums.items())
    assert {*told["files"], "MANIFEST.json", "SHA256SUMS"} == set(held)
    model = owner.built("net", "rk3588/model.rknn")
    assert held["rk3588/model.rknn"] == model.read_bytes()
    assert {"int8/net_quant.tflite", "handoff/rk3588/HANDOFF.md", "recipe.yaml"} <= set(held)
    assert told["git"]["revision"] == owner.git("rev-parse", "HEAD").strip()
    row = told["targets"]["rk3588"]
    assert (row["platform"], row["toolkit"], row["container"]) == ("rk3588", "2.5.0", "rknn 6")
    assert row["digest"].encode() in held["rk3588/model.rknn"]
    assert told["toolchains"]["rknn-2.5.0"]["pins"]["rknn-toolkit2"] == "2.5.0"
    bill = json.loads(held["sbom.cdx.json"])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert "pkg:pypi/rknn-toolkit2@2.5.0" in {row.get("purl") for row in bill["components"]}
    card = held["MODEL_CARD.md"].decode()
    assert f"| rk3588 | rk3588 | 2.5.0 | {model.stat().st_size:,} |" in card
    with tarfile.open(released(owner)) as tar:
        modes = {(one.mtime, one.uid, one.gid, one.uname, one.mode) for one in tar}
    assert modes == {(int(owner.git("log", "-1", "--format=%ct")), 0, 0, "", 0o644)}
    assert released(owner).read_bytes()[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


# Prints what is wrong with each file in the folder, in the order of names; `None` for nothing.
VALIDATES = """
from pathlib import Path
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
validator = JsonStrictValidator(SchemaVersion.V1_6)
for bill in sorted(Path().glob("*.cdx.json")):
    error = validator.validate_str(bill.read_text())
    print(error and str(error).splitlines()[0])
"""


@pytest.mark.toolchain
def test_the_bill_of_materials_meets_its_schema(
    owner: Checkout, toolchain_python: Pythons, tmp_path: Path
) -> None:
    """By cyclonedx-python-lib's own validator, which refuses a key that 1.6 has not."""
    assert toolchain_python["schemas"].exists()
    text = contents(released(owner))["sbom.cdx.json"].decode()
    (tmp_path / "1.cdx.json").write_text(text)
    (tmp_path / "2.cdx.json").write_text(text.replace('"hashes"', '"hash"', 1))
    right, wrong = warm_toolchains.run("schemas", VALIDATES, tmp_path).splitlines()
    assert right == "None"
    assert "'hash' was unexpected" in wrong


@pytest.mark.toolchain
def test_twice_and_in_a_second_clone(owner: Checkout, tmp_path: Path) -> None:
    """The same bytes; no tracked file changes, nothing is built, and the tags stay."""
    first, tags = released(owner).read_bytes(), owner.git("tag")
    released(owner).unlink()
    ran = owner.doit("release", "net", "--version", "1.2.0")
    assert (ran.code, ran.steps, released(owner).read_bytes() == first) == (0, {}, True), ran.err
    assert (owner.git("status", "--porcelain"), owner.git("tag")) == ("", tags)
    listed = owner.doit("release", "--list").out.splitlines()
    commit = owner.git("rev-parse", "HEAD")[:12]
    assert [line.split() for line in listed[1:]] == [
        ["net@v1.2.0", "prod", commit, "dist/net-1.2.0.tar.gz"]
    ]
    assert "release   net@v1.2.0 (prod)" in owner.doit("which", json_digest(owner)).out
    clone = owner.clone(tmp_path / "clone")
    ran = clone.doit("--pull")
    assert set(ran.steps.values()) == {"restored"}, ran.err
    assert clone.doit("release", "net", "--version", "1.2.0").code == 0
    assert released(clone).read_bytes() == first
    ran = clone.doit("release", "--check", str(released(owner)))
    assert (ran.code, ran.out, ran.err) == (
        0,
        f"{TOP}.tar.gz: 40 files are as they were released\n",
        "",
    )
    clone.dvc(
        "artifacts", "get", str(owner.root), "net/rk3588", "--rev", "v1.2.0", "-o", "got.rknn"
    )
    built, rev = owner.built("net", "rk3588/model.rknn"), "net@v1.2.0"
    assert (clone.root / "got.rknn").read_bytes() == built.read_bytes()
    path = built.relative_to(owner.root).as_posix()
    clone.dvc("import", str(owner.root), path, "--rev", rev, "-o", "imported.rknn")
    assert (clone.root / "imported.rknn").read_bytes() == built.read_bytes()


@pytest.mark.toolchain
def test_two_worktrees_with_one_cache(owner: Checkout, tmp_path: Path) -> None:
    first = owner.copy(tmp_path / "first")
    first.dvc("config", "--local", "cache.dir", str(first.root / ".dvc" / "cache"))
    first.git("worktree", "add", "-q", str(tmp_path / "second"), "-b", "second")
    # Its .git is a file; the cache's place is a setting of each worktree's own.
    second = Workspace.__new__(Workspace)
    second.root = tmp_path / "second"
    shutil.copyfile(first.root / ".dvc/config.local", second.root / ".dvc/config.local")
    (second.root / ".npumake").mkdir()
    for name in (".npumake/toolchains", ".venv"):
        (second.root / name).symlink_to(first.root / name)
    ran = second.doit()
    assert (ran.code, set(ran.steps.values())) == (0, {"restored"}), ran.err
    assert not (second.root / ".dvc" / "cache").exists()


@pytest.mark.toolchain
def test_verify(owner: Checkout, tmp_path: Path) -> None:
    """Rebuilt with no cache: the same; then with a record of one other byte, which is named."""
    copy = owner.copy(tmp_path / "copy")
    ran = copy.doit("verify", "net")
    assert (ran.code, ran.out) == (0, "net: 20 of 20 outputs are the same\n"), ran.err
    place, lock = copy.built("net", "rk3588/model.rknn"), copy.root / "models/net/dvc.lock"
    report: Any = json.loads(copy.built("net", "rk3588/report/bytes.json").read_text())
    row = next(one for one in report["tensors"] if one["bytes"] > 64)
    data = place.read_bytes()
    other = data[: row["offset"]] + flipped(data[row["offset"] : row["offset"] + 1])
    other += data[len(other) :]
    old, new = (hashlib.md5(one).hexdigest() for one in (data, other))
    held = copy.root / ".dvc/cache/files/md5" / new[:2] / new[2:]
    held.parent.mkdir(exist_ok=True)
    held.write_bytes(other)
    place.unlink()
    place.write_bytes(other)
    lock.write_text(lock.read_text().replace(old, new))
    ran = copy.doit("verify", "net")
    told = [line.strip() for line in ran.out.splitlines()]
    assert (ran.code, told[0]) == (1, "net: 19 of 20 outputs are the same"), ran.err
    assert told[1] == "models/net/build/rk3588/model.rknn is another (net:build@rk3588)"
    assert told[2].startswith(f"1 bytes in the tensor `{row['name']}` (")
    assert told[3] == f"1 of {len(data):,} bytes are others, from {row['offset']:,} on"
    assert told[4].startswith("no release tells on which machine it was built; this one: machine")


def test_what_differs_in_a_report(tmp_path: Path) -> None:
    for name, value in (("a", 0.5), ("b", 0.25)):
        told = {"layers": [{"id": 1, "cosine": value}], "same": 1}
        (tmp_path / f"{name}.json").write_text(json.dumps(told))
    assert differences.between(tmp_path / "a.json", tmp_path / "b.json") == [
        "`layers[0].cosine` 0.5 -> 0.25",
        "49 bytes became 50; the first other one is at 34",
    ]


def json_digest(owner: Checkout) -> str:
    build: Any = json.loads(owner.built("net", "rk3588/build.json").read_text())
    return str(build["origin"]["digest"])


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("samples: 4", "samples: 3", "net:quantize@rk3588: param quantize.calibration.samples"),
        ("targets:", "gates: {max_size_ratio: 0.01}\ntargets:", "above max_size_ratio 0.01"),
    ],
    ids=["stale", "gate"],
)
def test_what_is_refused(owner: Checkout, tmp_path: Path, old: str, new: str, said: str) -> None:
    copy = owner.copy(tmp_path / "copy")
    copy.edit("net", old, new)
    copy.doit("plan")
    copy.commit("edited")
    ran = copy.doit("release", "net", "--version", "1.3.0")
    assert (ran.code, said in ran.err, copy.git("tag", "-l", "*1.3.0")) == (3, True, ""), ran.err
    ran = copy.doit("release", "net", "--version", "1.2")
    assert (ran.code, "`1.2` is no version" in ran.err) == (3, True)


@pytest.mark.toolchain
def test_a_release_waits_for_a_run_and_looks_then(owner: Checkout, tmp_path: Path) -> None:
    """Else a build would put others in the place of files that are being packed."""
    copy = owner.copy(tmp_path / "copy")
    with (copy.root / ".npumake/run.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4242")
        lock.flush()
        process = subprocess.Popen(
            [sys.executable, "-s", "dodo.py", "release", "net", "--version", "1.2.0"],
            cwd=copy.root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert "process 4242" in process.stderr.readline()
        copy.edit("net", "samples: 4", "samples: 3")
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "  M models/net/recipe.yaml\n" in said) == (3, True), said


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def other_platform(data: bytes) -> bytes:
    return data.replace(b'"platform": "rk3588"', b'"platform": "rk3576"')


def other_size(data: bytes) -> bytes:
    return data.replace(b"size: ", b"size: 1", 1)


Edits = Mapping[str, Callable[[bytes], bytes] | None]
TAMPERED: dict[str, tuple[Edits, list[str]]] = {
    "artifact": (
        {"int8/net_quant.tflite": flipped},
        [
            "int8/net_quant.tflite is not the file that MANIFEST.json and SHA256SUMS list",
            "int8/net_quant.tflite is not what dvc.lock tells of",
            "sbom.cdx.json lists another int8/net_quant.tflite",
        ],
    ),
    "manifest": (
        {"MANIFEST.json": other_platform},
        ["MANIFEST.json is not the file that SHA256SUMS lists"],
    ),
    "lock": (
        {"dvc.lock": other_size},
        [
            "dvc.lock is not the file that MANIFEST.json and SHA256SUMS list",
            "sbom.cdx.json lists another dvc.lock",
        ],
    ),
    "sums": (
        {"SHA256SUMS": lambda data: data.replace(b"recipe.yaml", b"recipe.yml")},
        [
            "recipe.yaml is not the file that SHA256SUMS lists",
            "recipe.yml is missing",
        ],
    ),
    "missing": (
        {"MODEL_CARD.md": None},
        ["MODEL_CARD.md is missing", "sbom.cdx.json lists another MODEL_CARD.md"],
    ),
}


def tampered(place: Path, edits: Edits, target: Path) -> Path:
    held: dict[str, Path | bytes] = {**contents(place)}
    for name, edit in edits.items():
        data = held.pop(name)
        assert isinstance(data, bytes)
        if edit is not None:
            held[name] = edit(data)
            assert held[name] != data
    archive.write(target, TOP, held, TIME)
    return target


@pytest.mark.toolchain
@pytest.mark.parametrize("case", TAMPERED)
def test_what_was_tampered_is_named(owner: Checkout, tmp_path: Path, case: str) -> None:
    """Without a repository."""
    edits, said = TAMPERED[case]
    found = check.check(tampered(released(owner), edits, tmp_path / "x.tar.gz"), None)
    assert sorted(found.wrong) == sorted(said)


@pytest.mark.toolchain
def test_a_whole_new_archive_is_found_by_the_tag(owner: Checkout, tmp_path: Path) -> None:
    again = tampered(released(owner), {}, tmp_path / "net-1.2.0.tar.gz")
    assert check.check(again, None).wrong == []
    said = "net-1.2.0.tar.gz is not the archive that the tag net@v1.2.0 was made with"
    assert check.check(again, owner.root).wrong == [said]


@pytest.mark.toolchain
def test_a_cut_off_archive(owner: Checkout, tmp_path: Path) -> None:
    place = tmp_path / "x.tar.gz"
    place.write_bytes(released(owner).read_bytes()[:-100])
    ran = owner.doit("release", "--check", str(place))
    assert (ran.code, "x.tar.gz is damaged or no .tar.gz" in ran.err) == (3, True)


@pytest.mark.toolchain
def test_cache_and_lock_of_the_repository(owner: Checkout, tmp_path: Path) -> None:
    copy = owner.copy(tmp_path / "copy")
    md5 = hashlib.md5(copy.built("net", "rk3588/model.rknn").read_bytes()).hexdigest()
    held = copy.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    data = held.read_bytes()
    held.unlink()  # the workspace may be a hard link of it
    held.write_bytes(flipped(data))
    lock = copy.root / "models/net/dvc.lock"
    lock.write_text(lock.read_text() + "# edited\n")
    ran = copy.doit("release", "--check", str(released(copy)))
    assert ran.code == 1
    assert ran.err.splitlines() == [
        "wrong: models/net/dvc.lock here is not the one of the tag net@v1.2.0",
        f"wrong: {held} in the cache is not what its name says "
        "(models/net/build/rk3588/model.rknn)",
    ]


def packed(place: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(place, "w:gz") as tar:
        for one in members:
            tar.addfile(one, io.BytesIO(bytes(one.size)))
    return place


def member(name: str, size: int = 3, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    told = tarfile.TarInfo(name)
    told.size, told.type = size if kind == tarfile.REGTYPE else 0, kind
    return told


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([member("a/../b")], "is no path that a release has"),
        ([member("/a/b")], "is no path that a release has"),
        ([member("a/./b")], "is no path that a release has"),
        ([member("file")], "is no path that a release has"),
        ([member("a/b"), member("a/b")], "holds `a/b` twice"),
        ([member("a/b"), member("c/b")], "has several top folders"),
        ([member("a/b", kind=tarfile.SYMTYPE)], "`a/b` is no plain file"),
        ([member("a/b", kind=tarfile.DIRTYPE)], "`a/b` is no plain file"),
        ([member(f"a/{i}") for i in range(4)], "holds more than 3 files"),
        ([member("a/b", 6000)], "unpacks to more than 5,000 bytes"),
    ],
)
def test_what_no_release_has(
    members: list[tarfile.TarInfo], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "MOST_FILES", 3)
    monkeypatch.setattr(opened, "MOST_BYTES", 5000)
    with pytest.raises(Fault) as error:
        opened.read(packed(tmp_path / "x.tar.gz", *members), lambda name, length: False)
    assert said in error.value.what


def test_an_archive_hangs_on_its_members_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"held")
    for name, members in (("one", ("b", "a")), ("two", ("a", "b"))):
        held = {key: tmp_path / "file" if key == "a" else b"text" for key in members}
        archive.write(tmp_path / name / "x.tar.gz", "top", held, TIME)
    one, two = (tmp_path / name / "x.tar.gz" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert gzip.decompress(one.read_bytes())[:5] == b"top/a"
    top, found = opened.read(one, lambda name, length: name == "b")
    assert (top, found["a"].kept, found["b"].kept) == ("top", None, b"text")
    assert found["a"].sha256 == hashlib.sha256(b"held").hexdigest()
