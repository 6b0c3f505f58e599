"""Seeded mutants against npumake's readers of ONNX and TFLite.

    python -m tests.fuzz_readers --seconds 300            # some minutes of both, from mutant 0 on
    python -m tests.fuzz_readers tflite --first 4711 --mutants 1

A reader may refuse a mutant (Fault) or read it; anything else that it raises, ten seconds, or 3 GB
more memory, is a failure, printed with the number that makes the mutant again. LiteRT and
onnxruntime see no mutant. onnx's checker does, as in an export; where that dies, the number is
printed as well, and no such mutant belongs into this repository.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import flatbuffers  # type: ignore[import-untyped]
from ai_edge_litert import schema_py_generated as schema

from quant.fault import Fault
from quant.graph.check import check_graph, foreign_operators
from quant.graph.file import read
from quant.graph.graph import Graph
from quant.graph.names import select_outputs
from quant.graph.operators import operator_counts
from quant.graph.types import input_types, output_types, require_static
from quant.graph.weights import parameter_count, require_finite
from quant.tflite.convert import convert
from quant.tflite.export import read_network
from quant.tflite.litert import LiteRT
from tests.graph_builder import Builder
from tests.mutants import mutant
from tests.random_graphs import random_graph
from tests.test_tflite import NETWORKS
from tests.tflite_builder import Network

_BATCH = 200  # mutants a child process
_SECONDS = 10
_BYTES = 3 << 30


def tflite_corpus() -> list[bytes]:
    """One network an operator, each with the shapes that LiteRT works out."""
    return [_settled(_packed(make)) for make, _ in NETWORKS.values()]


def _packed(make: Callable[[Network], int | list[int]]) -> bytes:
    n = Network()
    made = make(n)
    return n.pack(*(made if isinstance(made, list) else [made]))


def _settled(raw: bytes) -> bytes:
    litert = LiteRT(raw, "net.tflite")
    litert.resize({})
    model = schema.ModelT.InitFromPackedBuf(raw, 0)
    for index, shape in litert.shapes().items():
        if index < len(model.subgraphs[0].tensors):
            model.subgraphs[0].tensors[index].shape = list(shape)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def read_tflite(data: bytes, folder: Path) -> None:
    """What an export does with a file, without LiteRT."""
    graph, ports, wanted = read_network(data, {}, [], "net.tflite")
    convert(graph, ports, wanted)


def onnx_corpus() -> list[bytes]:
    """Random graphs, and one with a batch normalisation and groups."""
    b = Builder(0)
    x = b.op("Relu", b.batch_norm(b.op("Conv", "x", b.weight(4, 2, 3, 3), group=2), 4))
    b.op("Concat", x, b.op("Sigmoid", x), axis=2)
    grouped = b.model({"x": (1, 4, 9, 9)}, [b.nodes[-1].output[0]])
    models = [grouped, *map(random_graph, range(30))]
    return [made.SerializeToString() for made in models]


def read_onnx(data: bytes, folder: Path) -> None:
    """What an export does with a file, up to the run by onnxruntime, which all later steps need."""
    file = folder / "net.onnx"
    file.write_bytes(data)
    model = read(file)
    check_graph(model, full=True)
    require_static(input_types(model), "input", "")
    require_finite(model)
    parameter_count(model), operator_counts(model), foreign_operators(model)
    Graph(model)
    select_outputs(model, list(output_types(model))[:1])


READERS = {"tflite": (tflite_corpus, read_tflite), "onnx": (onnx_corpus, read_onnx)}


@dataclass
class Tally:
    """What became of the mutants. failures: number -> how it ended."""

    refused: int = 0
    was_read: int = 0
    failures: dict[int, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.refused} refused, {self.was_read} read, {len(self.failures)} failed"


def fuzz(kind: str, first: int, mutants: int, seconds: float) -> Tally:
    """Mutants from `first` on, as many or as long as told, in child processes."""
    make_corpus, reader = READERS[kind]
    corpus, tally = make_corpus(), Tally()
    number, end = first, time.monotonic() + seconds
    while number < first + mutants and time.monotonic() < end:
        last = min(number + _BATCH, first + mutants)
        number = _batch(kind, corpus, reader, range(number, last), tally)
    return tally


def _batch(
    kind: str,
    corpus: list[bytes],
    reader: Callable[[bytes, Path], None],
    numbers: range,
    tally: Tally,
) -> int:
    """Run some in a child. Returns the number to go on with: behind one that killed the child."""
    readable, writable = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(readable)
        _child(kind, corpus, reader, numbers, writable)
    os.close(writable)
    at = numbers.start
    with os.fdopen(readable) as told:
        for line in told:
            number, word, *rest = line.rstrip("\n").split(" ", 2)
            at = int(number)
            if word == "refused":
                tally.refused += 1
            elif word == "read":
                tally.was_read += 1
            elif word == "failed":
                tally.failures[at] = rest[0]
    _, status = os.waitpid(process, 0)
    if status == 0:
        return numbers.stop
    tally.failures[at] = f"the process died of signal {os.WTERMSIG(status)}"
    return at + 1


def _child(
    kind: str,
    corpus: list[bytes],
    reader: Callable[[bytes, Path], None],
    numbers: range,
    told: int,
) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _BYTES, used + _BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, _out_of_time)
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            os.write(told, f"{number} begins\n".encode())
            data = mutant(kind, corpus, number)
            ended = "unwritable" if data is None else _ended(reader, data, Path(folder))
            os.write(told, f"{number} {ended}\n".encode())
    os._exit(0)


def _out_of_time(*_: object) -> None:
    raise TimeoutError(f"{_SECONDS} s")


def _ended(reader: Callable[[bytes, Path], None], data: bytes, folder: Path) -> str:
    signal.alarm(_SECONDS)
    try:
        reader(data, folder)
        return "read"
    except Fault:
        return "refused"
    except BaseException as error:  # whatever it is, it is what we look for
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())[:200]
        return f"failed {type(error).__name__} {Path(place.filename).name}:{place.lineno} {said}"
    finally:
        signal.alarm(0)


def main() -> int:
    parser = argparse.ArgumentParser(description="mutants against the readers")
    parser.add_argument("kinds", nargs="*", choices=[[], *READERS], metavar="tflite|onnx")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--mutants", type=int, default=sys.maxsize)
    parser.add_argument("--seconds", type=float, default=300.0)
    given = parser.parse_args()
    kinds = given.kinds or list(READERS)
    has_failed = False
    for kind in kinds:
        tally = fuzz(kind, given.first, given.mutants, given.seconds / len(kinds))
        print(f"{kind}: {tally}")
        for number, how in sorted(tally.failures.items()):
            print(f"  mutant {number}: {how}")
        has_failed |= bool(tally.failures)
    return 1 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
