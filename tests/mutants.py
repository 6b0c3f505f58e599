"""Seeded mutants of model files: bytes that changed, and whole tables that lie."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from google.protobuf.message import Message  # type: ignore[import-untyped]

# Values at the edges of what fields hold, and small ones that name other tables.
_NUMBERS = (0, 1, 2, 3, 4, 5, 7, 16, 127, 128, 255, 256, 65535, 2**31 - 1, 2**32 - 1)
_SIGNED = (*_NUMBERS, -1, -2, -(2**31), 2**63 - 1, -(2**63))
Place = tuple[Any, Any, Any]  # an object, a field or index of it, and what stands there


def of_bytes(data: bytes, chance: random.Random) -> bytes:
    """Some bytes or words overwritten, cut off or moved."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed))
        if chance.random() < 0.5:
            changed[at] = chance.randrange(256)
        else:
            at -= at % 4
            changed[at : at + 4] = (chance.choice(_NUMBERS)).to_bytes(4, "little")
    if chance.random() < 0.1:
        del changed[chance.randrange(len(changed)) :]
    return bytes(changed)


def of_tflite(data: bytes, chance: random.Random) -> bytes:
    """A whole FlatBuffer of which one to three fields hold something else."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for _ in range(chance.randint(1, 3)):
        _change(chance.choice(list(_places(model))), chance)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _places(table: Any) -> Iterator[Place]:
    for name, value in vars(table).items():
        yield table, name, value
        for item in value if isinstance(value, list) else [value]:
            if hasattr(item, "__dict__") and not isinstance(item, np.ndarray):
                yield from _places(item)


def _change(place: Place, chance: random.Random) -> None:
    table, name, value = place
    if isinstance(value, np.ndarray):
        value = value.tolist() if value.size < 1000 else None
    if isinstance(value, (bool, int)):
        setattr(table, name, chance.choice(_SIGNED))
    elif isinstance(value, list) and value:
        setattr(table, name, _other_list(value, chance))
    elif isinstance(value, bytes):
        setattr(table, name, chance.choice([b"", b"\xff", value * 2, b"x"]))
    elif name in ("inputs", "outputs", "shape", "shapeSignature"):
        setattr(table, name, [chance.choice(_SIGNED[:8]) for _ in range(chance.randint(0, 5))])
    else:
        setattr(table, name, None)


def _other_list(value: list[Any], chance: random.Random) -> list[Any]:
    changed, at = list(value), chance.randrange(len(value))
    how = chance.randrange(5)
    if how == 0:
        del changed[at]
    elif how == 1:
        changed.append(changed[at])
    elif how == 2:
        chance.shuffle(changed)
    elif how == 3 or not isinstance(changed[at], int):
        return []
    else:
        changed[at] = chance.choice(_SIGNED)
    return changed


def of_onnx(data: bytes, chance: random.Random) -> bytes:
    """A whole protobuf message of which one to three fields hold something else."""
    model = onnx.load_model_from_string(data)
    for _ in range(chance.randint(1, 3)):
        message, field, value = chance.choice(list(_fields(model)))
        if field.label == field.LABEL_REPEATED:
            _change_repeated(value, chance)
        elif isinstance(value, Message):
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _other_scalar(value, chance))
    return bytes(model.SerializeToString())


def _fields(message: Any) -> Iterator[Place]:
    for field, value in message.ListFields():
        yield message, field, value
        items = value if field.label == field.LABEL_REPEATED else [value]
        for item in items:
            if isinstance(item, Message):
                yield from _fields(item)


def _change_repeated(values: Any, chance: random.Random) -> None:
    at, how = chance.randrange(len(values)), chance.randrange(4)
    if how == 0:
        del values[at]
    elif how == 1:
        values.append(values[at])
    elif isinstance(values[at], Message):
        values[at].CopyFrom(values[chance.randrange(len(values))])
    else:
        values[at] = _other_scalar(values[at], chance)


def _other_scalar(value: Any, chance: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return chance.choice([number for number in _SIGNED if abs(number) < 2**31])
    if isinstance(value, float):
        return chance.choice([0.0, -1.0, float("nan"), float("inf"), 1e30])
    if isinstance(value, str):
        return chance.choice(["", value + "_", "x", "w.bin", "../w.bin", "Conv", "Reshape"])
    return chance.choice([b"", value[:-1], value + b"\0", value[: len(value) // 2]])


MUTATIONS: dict[str, tuple[Callable[[bytes, random.Random], bytes], ...]] = {
    "tflite": (of_bytes, of_tflite, of_tflite, of_tflite),
    "onnx": (of_bytes, of_onnx, of_onnx, of_onnx),
}


def mutant(kind: str, corpus: list[bytes], number: int) -> bytes | None:
    """Mutant `number` of a corpus; None where the changed tables can't be written down."""
    chance = random.Random(number)
    data, mutate = chance.choice(corpus), chance.choice(MUTATIONS[kind])
    try:
        return mutate(data, chance)
    except (TypeError, ValueError, AttributeError, OverflowError, AssertionError):
        return None
    except Exception as error:  # struct.error, flatbuffers' own and protobuf's
        if type(error).__module__.split(".")[0] in ("struct", "flatbuffers", "google"):
            return None
        raise
