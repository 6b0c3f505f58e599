"""--cluster with the vendor's SDK: a run, and the commands that build aside, by real workers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests import warm
from tests.checkout import Checkout
from tests.conftest import Pythons
from tests.small_models import conv_net, recipe, samples
from tests.warm_interpreter import lent

pytestmark = [pytest.mark.toolchain, pytest.mark.xdist_group("cluster")]
TARGETS = {
    "rk3588": {},
    "int8": {"backend": "fixed_point", "input_scale": 16},
    "open": {"backend": "qdq"},
}
CLUSTER = ("--cluster", "local:2")


def made(checkout: Checkout) -> Mapping[str, str]:
    """File -> digest, of all that was built, trials apart, and of dvc.lock."""
    folder = checkout.root / "models" / "net"
    files = [folder / "dvc.lock", *folder.glob("build/**/*")]
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file() and "trials" not in file.parts
    }


def logs(checkout: Checkout) -> dict[Path, tuple[int, bool]]:
    """Log of a step -> when it was written, and whether a worker wrote it."""
    return {
        file: (file.stat().st_mtime_ns, file.read_text().startswith("=== by worker "))
        for file in checkout.root.glob(".npumake/logs/net*/**/*.log")
    }


@pytest.fixture(scope="module")
def front(toolchain_python: Pythons) -> Iterator[None]:
    """Every ./doit is a fork of one that has imported dask, which takes a second."""
    try:
        python = toolchain_python["cluster"]
    except Exception as error:
        pytest.skip(f"the toolchain `cluster` can't be made here: {error}")
    (site,) = python.parent.parent.glob("lib/python3*/site-packages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(warm.SHARED, lent(warm.beside(site, "distributed")))
        yield


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, front: None) -> Checkout:
    """Model `net`, built for three backends by two workers, and committed."""
    checkout = Checkout(tmp_path_factory.mktemp("commands") / "by")
    for key, value in (("user.name", "t"), ("user.email", "t@t")):
        checkout.git("config", key, value)
    checkout.add("net", recipe(targets=TARGETS), net__onnx=conv_net(), samples__npy=samples())
    twin = checkout.copy(checkout.root.with_name("twin"))
    ran = checkout.doit(*CLUSTER)
    assert ran.code == 0, ran.err
    assert set(ran.steps.values()) == {"ran"}
    assert {by_worker for _, by_worker in logs(checkout).values()} == {True}
    here = twin.doit()
    assert here.code == 0, here.err
    assert {by_worker for _, by_worker in logs(twin).values()} == {False}
    assert made(checkout) == made(twin)
    checkout.commit("built")
    return checkout


def test_afterwards_there_is_nothing_to_do(checkout: Checkout) -> None:
    assert checkout.doit().steps == {}
    assert checkout.git("status", "--short") == ""
    assert "Data and pipelines are up to date" in checkout.dvc("status")


@pytest.mark.parametrize(
    "words",
    [
        ("doctor", "net@rk3588"),
        ("tune", "net@rk3588"),
        ("upgrade", "--toolchain", "rknn-2.5.0", "--toolchain", "rknn-2.3.2"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_tells_what_it_tells_without(checkout: Checkout, words: tuple[str, ...]) -> None:
    """All that it ran, it ran by workers; and it is in the cache for a run without."""
    before, built = logs(checkout), made(checkout)
    by_cluster = checkout.doit(*words, *CLUSTER)
    assert by_cluster.code == 0, by_cluster.err
    after = logs(checkout)
    ran = {file for file in after if after[file] != before.get(file)}
    assert ran
    assert {after[file][1] for file in ran} == {True}
    here = checkout.doit(*words)
    assert (here.code, here.out) == (0, by_cluster.out), here.err
    assert logs(checkout) == after
    assert made(checkout) == built


def test_a_release_is_the_same_archive(checkout: Checkout) -> None:
    """What its handoff and its bill of materials are made by is of no account."""
    words = ("release", "net", "--version", "1.0.0")
    twin = checkout.copy(checkout.root.with_name("released"))
    before = logs(checkout)
    for one, options in ((checkout, CLUSTER), (twin, ())):
        ran = one.doit(*words, *options)
        assert ran.code == 0, ran.err
    archives = [one.root / "dist" / "net-1.0.0.tar.gz" for one in (checkout, twin)]
    assert archives[0].read_bytes() == archives[1].read_bytes()
    after = logs(checkout)
    assert {after[file][1] for file in after if after[file] != before.get(file)} == {True}
