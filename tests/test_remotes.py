"""The DVC remotes that teams have, and experiments: real servers on loopback, real DVC and git."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import remote_servers, warm, warm_toolchains
from tests.checkout import Checkout
from tests.conftest import ROOT, Pythons
from tests.small_models import conv_net, recipe, samples
from tests.warm_interpreter import lent

pytestmark = pytest.mark.toolchain
TARGETS = {"int8": {"backend": "fixed_point", "input_scale": 16}}
BUILT = "int8/net_quant.tflite"
SERVERS = {"s3": remote_servers.s3, "ssh": remote_servers.ssh}


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Model `net`, built without the SDK, and committed."""
    checkout = Checkout(tmp_path_factory.mktemp("remotes") / "owner")
    for key, value in (("user.name", "t"), ("user.email", "t@t")):
        checkout.git("config", key, value)
    checkout.add("net", recipe(targets=TARGETS), net__onnx=conv_net(), samples__npy=samples())
    ran = checkout.doit()
    assert ran.code == 0, ran.err
    checkout.commit("built")
    return checkout


@pytest.fixture
def beside(toolchain_python: Pythons, monkeypatch: pytest.MonkeyPatch) -> None:
    """dvc-s3, dvc-ssh and moto beside .venv's packages, as a user installs the first two.

    They have none of the same: a fork that has imported .venv's is what a new process would be.
    """
    python = toolchain_python["remotes"]
    (site,) = python.parent.parent.glob("lib/python3*/site-packages")
    packages = ("dvc_s3", "dvc_ssh", "s3fs", "sshfs", "aiobotocore.session")
    monkeypatch.setenv(warm.SHARED, lent(warm.beside(site, *packages)))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "t")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "t")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.usefixtures("beside")
def test_a_server(owner: Checkout, tmp_path: Path, kind: str) -> None:
    """Pushed, released, pulled into a clone without building; one output fetched by its release."""
    if kind == "ssh" and (reason := remote_servers.why_no_ssh()):
        pytest.skip(reason)
    first = owner.copy(tmp_path / "first")
    (tmp_path / "server").mkdir()
    with SERVERS[kind](tmp_path / "server") as settings:
        lines = "".join(f"    {name} = {value}\n" for name, value in settings)
        config = first.root / ".dvc/config"
        config.write_text(f"[core]\n    remote = store\n['remote \"store\"']\n{lines}")
        first.commit("a remote")
        first.dvc("push", "--run-cache")
        ran = first.doit("release", "net", "--version", "1.0.0")
        assert ran.code == 0, ran.err
        clone = first.clone(tmp_path / "clone")
        ran = clone.doit("--pull")
        assert (ran.code, set(ran.steps.values())) == (0, {"restored"}), ran.err
        expected = first.built("net", BUILT).read_bytes()
        assert clone.built("net", BUILT).read_bytes() == expected
        ran = clone.doit("release", "--check", str(first.root / "dist/net-1.0.0.tar.gz"))
        assert ran.code == 0, ran.err
        path = first.built("net", BUILT).relative_to(first.root).as_posix()
        words = {
            "s3": ["artifacts", "get", str(first.root), "net/int8/tflite", "--rev", "v1.0.0"],
            "ssh": ["import", str(first.root), path, "--rev", "net@v1.0.0"],
        }
        clone.dvc(*words[kind], "-o", "fetched")
    assert (clone.root / "fetched").read_bytes() == expected


def test_a_queued_experiment_in_a_worktree(owner: Checkout, tmp_path: Path) -> None:
    """It builds what nobody has built, in DVC's own clone, with the .venv that is there."""
    first = owner.copy(tmp_path / "first")
    first.dvc("config", "--local", "cache.dir", str(first.root / ".dvc" / "cache"))
    second = worktree(first, tmp_path / "second")
    setting = ("-S", "models/net/recipe.yaml:targets.int8.input_scale=32")
    second.dvc("exp", "run", "--queue", "--name", "finer", *setting, "models/net/dvc.yaml")
    said = second.dvc("exp", "run", "--run-all")
    assert "net:build@int8  ran" in said, said
    assert "making" not in said, said
    assert (second.git("status", "--porcelain"), "finer" in second.dvc("exp", "list")) == (
        "",
        True,
    )
    second.dvc("exp", "apply", "finer")
    ran = second.doit()
    assert (ran.code, set(ran.steps.values()) <= {"restored"}) == (0, True), ran.err
    assert "input_scale: 32" in (second.root / "models/net/dvc.lock").read_text()


def worktree(first: Checkout, place: Path) -> Checkout:
    """Its .git is a file; the cache's place is a setting of each worktree's own."""
    first.git("worktree", "add", "-q", str(place), "-b", place.name)
    shutil.copyfile(first.root / ".dvc/config.local", place / ".dvc/config.local")
    (place / ".npumake").mkdir()
    (place / ".npumake/toolchains").symlink_to(warm_toolchains.home())
    (place / ".venv").symlink_to(ROOT / ".venv")
    second = Checkout.__new__(Checkout)
    second.root = place
    return second
