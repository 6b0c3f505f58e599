"""./doit --cluster: a real scheduler, and workers on addresses of their own, killed at random."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.run.toolchain.installed import Installed
from tests.cluster import Cluster, Machine, start, told, wait_for
from tests.conftest import Pythons
from tests.dvc_runner import git
from tests.fake_project import STAGES, FakeProject

pytestmark = pytest.mark.xdist_group("cluster")
MODELS = 4


@pytest.fixture(scope="module")
def toolchain(toolchain_python: Pythons) -> Path:
    """The toolchain `cluster`."""
    try:
        return toolchain_python["cluster"].parent.parent
    except Exception as error:
        pytest.skip(f"the toolchain `cluster` can't be made here: {error}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, toolchain: Path) -> Iterator[Cluster]:
    """A scheduler and three workers, at 127.0.0.2 to .4."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), toolchain, seconds=0.1)
    try:
        for number in (2, 3, 4):
            cluster.machine(number)
        yield cluster
    finally:
        cluster.close()


def state(project: FakeProject) -> Mapping[str, str]:
    """File -> digest, of all that was built and of each dvc.lock."""
    files = [*project.root.glob("models/*/dvc.lock"), *project.root.glob("models/*/build/**/*")]
    return {
        file.relative_to(project.root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file()
    }


@pytest.fixture(scope="module")
def local(cluster: Cluster) -> Mapping[str, str]:
    """What a run without a cluster makes."""
    project = cluster.project("local", MODELS)
    assert start(project.root).wait(60) == 0, told(project.root)
    return state(project)


def test_workers_killed_at_random(cluster: Cluster, local: Mapping[str, str]) -> None:
    """All is as a local run makes it, and only what a dead worker ran is run again."""
    project = cluster.project("front", MODELS)
    for machine in cluster.machines:
        machine.await_joined()
    seed = random.randrange(1 << 32)
    chosen = random.Random(seed)
    front = start(project.root, "--cluster", cluster.address)
    victims = chosen.sample(cluster.machines, 2)
    for victim, count in zip(victims, sorted(chosen.sample(range(2, 14), 2)), strict=True):
        cluster.await_steps(count)
        victim.kill()
        victim.start(cluster.address)
    assert front.wait(60) == 0, (seed, told(project.root))
    assert state(project) == local, seed
    total = cluster.began
    assert set(total) == {
        f"m000{n}-{stage.replace('@', '-')}" for n in range(MODELS) for stage in STAGES
    }
    again = {name for name, count in total.items() if count > 1}
    for name in again:
        where = [machine for machine in cluster.machines if machine.began[name]]
        lost = sum(machine.began[name] for machine in where if machine.has_died)
        assert lost >= total[name] - 1, (seed, name, [machine.name for machine in where])
    assert len(again) <= len(victims), (seed, again)
    log = project.root / ".npumake/logs/m0000/export.log"
    assert log.read_text().startswith("=== by worker m")
    assert "=== pipelines.stages.export.jobs.from_onnx in core" in log.read_text()


def test_a_killed_front_loses_what_ran_alone(cluster: Cluster, local: Mapping[str, str]) -> None:
    project = cluster.project("killed", MODELS)
    before = cluster.began
    front = start(project.root, "--cluster", cluster.address)
    wait_for(lambda: "simplify" in told(project.root), told(project.root))
    front.kill()
    front.wait()
    ended = [line.split()[0] for line in told(project.root).splitlines() if "never built" in line]
    assert ended
    front = start(project.root, "--cluster", cluster.address)
    assert front.wait(60) == 0, told(project.root)
    assert state(project) == local
    twice = {name for name, count in (cluster.began - before).items() if count > 1}
    assert twice.isdisjoint(name.replace(":", "-").replace("@", "-") for name in ended)


def test_what_differs_is_refused_by_name(cluster: Cluster) -> None:
    """Of npumake's own files, and of a toolchain's; and a step's failure is told as a local one."""
    other = Machine(cluster.checkout("other"), "127.0.0.5", "other")
    with (other.root / "quant" / "fault.py").open("a") as file:
        file.write("# edited\n")
    changed = Machine(cluster.checkout("changed"), "127.0.0.6", "changed")
    (core,) = (changed.root / ".npumake" / "toolchains").glob("core-*")
    info = core / "lib" / "python3.11" / "site-packages" / "six-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("six.py,sha256=YWJj,3\n")
    Installed(core).note((changed.root / "toolchains" / "core.txt").read_bytes())
    cluster.machines += [other, changed]
    for machine in (other, changed):
        machine.start(cluster.address)
    for machine in (other, changed):
        machine.await_joined()
    project = cluster.project("refusing", 2)
    assert start(project.root, "--cluster", cluster.address).wait(60) == 0, told(project.root)
    said = told(project.root)
    assert "worker other (tcp://127.0.0.5:" in said
    assert "is refused: its engine is " in said
    assert "worker changed (tcp://127.0.0.6:" in said
    assert "is refused: its toolchain core holds other files" in said
    assert not other.began and not changed.began


def test_a_worker_looks_in_its_remote_first(
    tmp_path: Path, toolchain: Path, local: Mapping[str, str]
) -> None:
    """What the remote has comes from there, what it lacks or has wrongly from the front."""
    with closing(Cluster(tmp_path, toolchain, seconds=0)) as cluster:
        project = cluster.project("front", MODELS)
        sources = [folder / "net.onnx" for folder in sorted((project.root / "models").iterdir())]
        names = [hashlib.md5(source.read_bytes()).hexdigest() for source in sources]
        for name, held in zip(names[:3], (*sources[:2], None), strict=True):
            place = tmp_path / "store" / "files" / "md5" / name[:2] / name[2:]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(held.read_bytes() if held else b"another")
        machine = Machine(cluster.checkout("m5"), "127.0.0.5", "m5")
        cluster.machines.append(machine)
        git(machine.root, "init", "-q")
        config = f"[core]\n    remote = store\n['remote \"store\"']\n    url = {tmp_path}/store\n"
        (machine.root / ".dvc" / "config.local").write_text(config)
        machine.start(cluster.address, "--remote")
        machine.await_joined()
        assert start(project.root, "--cluster", cluster.address).wait(60) == 0, told(project.root)
        assert state(project) == local
        said = told(machine.root)
        found = re.findall(r"(\d+) files fetched from store", said)
        assert sum(map(int, found)) == 2, said
        assert f"object {names[2]} of the remote store is not what its name says" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["worker", "127.0.0.1:1", "--remote"], "names no remote\n  dvc remote add -d NAME URL"),
        (["--cluster", "127.0.0.1:1"], "npumake: no scheduler at tcp://127.0.0.1:1"),
        (["--cluster=local:0"], "npumake: --cluster local:0 names no cluster"),
        (["--cluster"], "npumake: --cluster names no cluster"),
        (["list", "--cluster", "x:1"], "npumake: --cluster is not for `list`"),
        (["worker"], "npumake: no scheduler to work for"),
    ],
)
def test_errors_tell_what_to_do(cluster: Cluster, words: list[str], said: str) -> None:
    root = cluster.folder / "errors"
    project = cluster.project("errors", 1) if not root.exists() else None
    project = project or FakeProject.__new__(FakeProject)
    project.root = root
    assert start(root, *words).wait(60) == 3
    assert said in told(root)
    assert "Traceback" not in told(root)
