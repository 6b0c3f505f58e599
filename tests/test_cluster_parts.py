"""What a cluster's front and workers judge each other by, without a network."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipelines.building.cluster import identity
from pipelines.building.cluster.crew import Crew, Lost
from pipelines.building.cluster.front import ClusterWorker
from pipelines.building.cluster.objects import CHUNK, Objects, parts
from pipelines.building.cluster.order import Order, Reply, read_files, read_order, read_reply
from pipelines.building.cluster.placement import Placement, Seat
from pipelines.building.cluster.tries import Tries
from pipelines.dvc.repo import cache
from pipelines.dvc.store import Store
from pipelines.files.confined import Refused
from pipelines.record.digest import Contents
from pipelines.record.step import Work
from tests.conftest import ROOT
from tests.vacuous import some

A, B = (hashlib.md5(data).hexdigest() for data in (b"a", b"b"))
JOB = "pipelines.stages.export.jobs.from_onnx"


def order(**other: Any) -> Order:
    told: dict[str, Any] = {
        "model": "m",
        "stage": "build",
        "target": "rk3588",
        "folder": "models/m",
        "inputs": {"model": ("0/model.onnx", {"": (A, 1)}), "data": ("1/d", {"x/y.npy": (B, 1)})},
        "outputs": ("model.rknn", "report/layers.json"),
        "work": (Work("core", JOB, {"a": [1, 2.5, None]}),),
        "limit_s": None,
        "log": ".npumake/logs/m/build-rk3588.log",
        "manifests": {"core": ""},
    }
    return Order(**(told | other))


def test_an_order_is_read_as_it_was_written() -> None:
    assert read_order(order().text) == order()
    step = read_order(order().text).step
    assert (step.name, step.lock_name) == ("m:build@rk3588", "build-rk3588")
    assert step.inputs == {"model": "0/model.onnx", "data": "1/d"}


@pytest.mark.parametrize(
    "other",
    [
        {"model": "../m"},
        {"target": "a/b"},
        {"log": "../x"},
        {"outputs": ("../x",)},
        {"outputs": ("a", "a/b")},
        {"inputs": {"../model": ("0/a", {"": (A, 1)})}},
        {"inputs": {"model": ("/etc/a", {"": (A, 1)})}},
        {"inputs": {"model": ("0/a", {"../b": (A, 1)})}},
        {"inputs": {"model": ("0/a", {"": ("../../x", 1)})}},
        {"inputs": {"model": ("0/a", {"": (A, -1)})}},
        {"inputs": {"model": ("0/a", {"": (A, 1), "b": (B, 1)})}},
        {"work": (Work("core", "os.path", {}),)},
    ],
    ids=str,
)
def test_an_order_that_leads_elsewhere_is_refused(other: Mapping[str, Any]) -> None:
    with pytest.raises(Refused):
        read_order(order(**other).text)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"work": 1}', '{"work": [{}]}'])
def test_what_is_no_order_or_answer_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        read_order(text)
    with pytest.raises(Refused):
        read_reply(text)


def test_a_reply_is_read_as_it_was_written() -> None:
    reply = Reply(outputs={"report": {"a.json": (A, 1)}}, log="text", seconds=1.5, peak_bytes=7)
    assert read_reply(reply.text) == reply
    assert read_reply(Reply(lacks=(A,)).text).lacks == (A,)


@pytest.mark.parametrize(
    "other",
    [
        {"outputs": {"../x": {"": [A, 1]}}},
        {"outputs": {"x": {"/y": [A, 1]}}},
        {"outputs": {"x": {"": ["zz", 1]}}},
        {"lacks": ["../x"]},
        {"peak_bytes": "much"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_reply_that_leads_elsewhere_is_refused(other: Mapping[str, Any]) -> None:
    with pytest.raises(Refused):
        read_reply(json.dumps(json.loads(Reply().text) | dict(other)))


@pytest.mark.parametrize(
    ("wanted", "messages"),
    [
        ({}, []),
        ({A: 0}, [[(A, 0, 0)]]),
        ({A: 5, B: 7}, [[(A, 0, 5), (B, 0, 7)]]),
        ({A: CHUNK + 1}, [[(A, 0, CHUNK)], [(A, CHUNK, 1)]]),
        ({A: CHUNK - 1, B: 2}, [[(A, 0, CHUNK - 1)], [(B, 0, 2)]]),
    ],
)
def test_messages_are_filled(wanted: Mapping[str, int], messages: list[Any]) -> None:
    assert list(parts(wanted)) == messages


def test_an_object_is_kept_where_it_is_what_its_name_says(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    data = bytes(range(256)) * 40
    md5 = hashlib.md5(data).hexdigest()
    assert objects.lacks([{"": (md5, len(data))}]) == (md5,)
    objects.put("s", md5, 0, len(data), data[:5000])
    assert objects.find(md5, len(data)) is None
    objects.put("s", md5, 5000, len(data), data[5000:])
    assert objects.lacks([{"": (md5, len(data))}]) == ()
    assert objects.get(md5, 4, 3) == data[4:7]
    with pytest.raises(Refused, match="is another file"):
        objects.put("s", A, 0, 1, b"b")
    assert objects.find(A, 1) is None
    with pytest.raises(Refused):
        objects.put("../s", A, 0, 1, b"a")
    with pytest.raises(Refused):
        objects.get("../x", 0, 1)
    objects.lay_out(tmp_path / "in", {"d": ("0/d", {"x/y": (md5, len(data))})})
    assert (tmp_path / "in/0/d/x/y").read_bytes() == data


def test_a_remote_that_fails_is_told_once_and_asked_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = Objects(tmp_path, fetches=True)  # no DVC repository at all
    for _ in range(2):
        objects.fetch([A])
    objects.close()
    said = capsys.readouterr().err
    assert said.count("nothing to pull from") == 1
    assert said.count("what is lacking comes from ./doit --cluster") == 1


class Answers:
    """Stands in for a crew whose worker gives these bytes."""

    def __init__(self, *data: bytes) -> None:
        self._data = list(data)

    def ask(self, address: str, what: str, **message: Any) -> list[bytes]:
        return self._data


def brought(tmp_path: Path, *data: bytes) -> Path:
    """What the front makes of an output `x` that is said to hold "a"."""
    contents = Contents(tmp_path, tmp_path / "contents.txt")
    worker = ClusterWorker(tmp_path, "x:1", contents, Store(cache(tmp_path)))
    answers: Any = Answers(*data)
    crew: Crew = answers
    worker._write(crew, "w", tmp_path / "out" / "x", read_files({"": [A, 1]}))
    return tmp_path / "out" / "x"


def test_an_output_is_what_its_digest_says(tmp_path: Path) -> None:
    assert brought(tmp_path, b"a").read_bytes() == b"a"
    for other in (b"b", b"", b"aa"):
        with pytest.raises(Refused):
            brought(tmp_path / other.hex() / "of", other)
    with pytest.raises(Lost):
        brought(tmp_path / "none")


# What is done, in order: `x` is placed and the worker named, or `.`; `-w:x` has ended there.
SEATS = {
    "the freest first": ({"u": (1, 9), "v": (2, 9)}, "a=v b=u c=v d=. -v:a d=v"),
    "where its inputs are": ({"u": (2, 9), "v": (1, 9)}, "h=v a=u"),
    "memory": ({"u": (3, 9), "v": (3, 5)}, "L=u M=v a=u L=. -u:a L=."),
    "too large for any runs alone": ({"u": (2, 3)}, "L=u a=."),
    "and begins alone": ({"u": (2, 3)}, "a=u L=. -u:a L=u"),
    "no workers": ({}, "a=."),
}
PEAKS = {"L": 6, "M": 5}


@pytest.mark.parametrize("name", SEATS)
def test_placement(name: str) -> None:
    workers, script = SEATS[name]
    placement = Placement({n: Seat(slots, memory) for n, (slots, memory) in workers.items()})
    if "v" in workers:
        placement.seats["v"].has.add(A)
    for word in some(script.split()):
        if word[0] == "-":
            placement.ended(*word[1:].split(":"))
            continue
        step, expected = word.split("=")
        wants = {A: 10} if step == "h" else {B: 10}
        found = placement.place(step, PEAKS.get(step, 1), wants)
        assert found == (None if expected == "." else expected), (script, word)


@pytest.mark.parametrize(
    ("seat", "given"),
    [
        (Seat(1, 1), [A, B]),
        (Seat(1, 1, has={A}), [B]),
        (Seat(1, 1, fetches=True), []),
        (Seat(1, 1, fetches=True, absent={B}), [B]),
        (Seat(1, 1, fetches=True, absent={A, B}, has={B}), [A]),
    ],
    ids=["has none", "has one", "fetches", "found one not", "was sent one"],
)
def test_a_worker_is_given_what_it_neither_has_nor_finds(seat: Seat, given: list[str]) -> None:
    assert [md5 for md5 in (A, B) if seat.has_to_be_given(md5)] == given


@pytest.mark.parametrize(
    ("ran", "elsewhere", "lacks", "over"),
    [
        (4, 49, 4, None),
        (5, 0, 0, "5 workers died while they ran it: w, w, w, w, w\n"),
        (0, 50, 0, "50 workers went before they began it"),
        (0, 0, 5, "workers don't keep what they are sent\n"),
    ],
)
def test_only_workers_that_died_of_a_step_count_against_it(
    ran: int, elsewhere: int, lacks: int, over: str | None
) -> None:
    tries = Tries(lacks=lacks)
    for is_running in (True,) * ran + (False,) * elsewhere:
        tries.is_running = is_running
        tries.note_lost("w")
    assert tries.over == over or (over is not None and (tries.over or "").startswith(over))


def test_a_worker_died_of_a_step_that_it_ran_and_not_of_one_that_had_ended() -> None:
    tries = Tries()
    with pytest.raises(Lost), tries.running():
        raise Lost
    tries.note_lost("w")
    with tries.running():
        pass
    tries.note_lost("v")
    assert (tries.died, tries.lost) == (["w"], 1)


def test_a_worker_that_finds_nothing_in_its_remote_has_lost_nothing() -> None:
    crew = Crew.__new__(Crew)
    crew._turn, crew._placement = threading.Condition(), Placement({"w": Seat(1, 1, fetches=True)})
    assert crew.lacking("w", {A: 1}) == {}
    assert not crew.has_not("w", (A,))
    assert crew.lacking("w", {A: 1}) == {A: 1}
    crew.has("w", {A: 1})
    assert crew.has_not("w", (A,))
    assert crew.has_not("gone", (A,))


class Loop:
    """Stands in for dask's client and its loop: notes what is to be called, and calls nothing."""

    def __init__(self) -> None:
        self.loop, self.rpc = self, self
        self.asked: list[tuple[str, str]] = []

    def remove(self, address: str) -> None:
        raise AssertionError

    def add_callback(self, act: Any, address: str) -> None:
        self.asked.append((act.__name__, address))


def test_a_worker_that_does_not_answer_holds_up_no_other() -> None:
    """It is asked once, the next one all the same, and what waits for it ends when it is gone."""
    crew, loop = Crew.__new__(Crew), Loop()
    given: Any = loop
    crew._client, crew._placement, crew._turn = given, Placement(), threading.Condition()
    crew._refused, crew._greeting, crew._names, crew._is_closed = {}, set(), {}, False
    for there in ({"mute"}, {"mute"}, {"mute", "v"}, {"v"}):
        crew._meet(there)
    assert loop.asked == [("_greet", "mute"), ("_greet", "v"), ("remove", "mute")]


OWN = {"npumake": "1.0", "engine": "e" * 64, "python": "3.11", "machine": "x", "distributed": "7"}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, None),
        ({"engine": "f" * 64}, "its engine is ffffffffffff, here it is eeeeeeeeeeee"),
        ({"npumake": "0.9", "engine": "f"}, "its npumake is 0.9, here it is 1.0"),
        ({"python": "3.12"}, "its python is 3.12, here it is 3.11"),
        ({"distributed": None}, "its distributed is None, here it is 7"),
    ],
)
def test_what_differs_is_told(other: Mapping[str, Any], said: str | None) -> None:
    found = identity.difference(OWN, OWN | dict(other))
    assert found == said or (found is not None and found.splitlines()[0] == said)


def test_a_toolchain_that_only_one_has_made_differs_from_none() -> None:
    assert identity.other_toolchain({"core": "1", "rknn": ""}, {"core": "1", "rknn": "2"}) is None
    assert identity.other_toolchain({"core": "1"}, {}) is None
    assert identity.other_toolchain({"core": "1"}, {"core": ""}) is None
    told = identity.other_toolchain({"core": "1"}, {"core": "2"})
    assert told is not None and told.startswith("its toolchain core holds other files")


def test_the_engine_s_digest_is_of_names_and_bytes(tmp_path: Path) -> None:
    def digest(*names: str, text: str = "x") -> str:
        root = tmp_path / str(len(list(tmp_path.glob("*"))))
        for name in names:
            place = root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return identity.engine_digest(root)

    found = {
        digest("pipelines/a"),
        digest("pipelines/b"),
        digest("pipelines/a", text="y"),
        digest("quant/a"),
        digest("pipelines/a", "toolchains/c"),
    }
    assert len(found) == 5
    assert digest("pipelines/a", "pipelines/__pycache__/b", "models/m") in found


def test_the_wheel_s_extra_is_what_is_pinned() -> None:
    """What dask itself compares, and warns of; the dask that belongs to it, distributed pins."""
    told = (ROOT / "pyproject.toml").read_text()
    extra = re.search(r"^cluster = \[(.*?)^\]", told, re.M | re.S)
    assert extra is not None
    pins = re.findall(r'"(\S+==\S+)"', extra[1])
    names = {pin.partition("==")[0] for pin in pins}
    assert names == {"distributed", "cloudpickle", "msgpack", "toolz", "tornado"}
    pinned = (ROOT / "toolchains" / "cluster.txt").read_text()
    assert [pin for pin in pins if f"{pin} \\\n" not in pinned] == []


def test_a_changed_engine_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "quant" / "a.py"
    file.parent.mkdir()
    file.write_text("x")
    engine = identity.Engine(tmp_path)
    assert engine.is_unchanged
    file.write_text("xy")
    assert not engine.is_unchanged
    engine = identity.Engine(tmp_path)
    file.unlink()
    assert not engine.is_unchanged
