"""Builds benchmarks.operators' networks in a toolchain, a forked process each. Not run by hand.

    python -m benchmarks.operator_worker FOLDER

FOLDER has NAME.onnx and NAME.npz (x: samples, y: what onnxruntime gives for them). Standard input:
a JSON line an order, {"name", "platform", "dtype"}; standard output: a JSON line an answer, the
order's and what was measured.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LIMIT_S = 120
ENDED, HUNG = "the SDK's process ended", f"no end within {LIMIT_S} s"
_ENDS = ("InputOperator", "OutputOperator")


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    os.environ["RKNN_LOG_LEVEL"] = "5"  # the compiler's tables, without what `verbose` costs
    os.environ["OMP_NUM_THREADS"] = "1"
    import onnxruntime  # noqa: F401 what every child needs, once
    import rknn.api  # noqa: F401

    import pipelines.backends.rknn.sdk.api  # noqa: F401

    _warm(folder)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps({**order, **_in_a_fork(folder, order)}), file=out)


def _warm(folder: Path) -> None:
    """What a first build of a process sets up; it is half of the work of a small one."""
    kept = Path.cwd()
    place = Path(tempfile.mkdtemp(prefix="operator-", dir="/dev/shm"))
    os.chdir(place)
    _measured(folder, {"name": "0", "platform": "rk3588", "dtype": "w8a8"})
    os.chdir(kept)
    shutil.rmtree(place)
    gc.freeze()


def _in_a_fork(folder: Path, order: dict[str, str]) -> dict[str, Any]:
    """What the child says; `refused` with a reason where it says nothing."""
    place = Path(tempfile.mkdtemp(prefix="operator-", dir="/dev/shm"))
    start, child = time.monotonic(), os.fork()
    if child == 0:
        os.setpgid(0, 0)
        _child(folder, order, place)
    ended, status = 0, 0
    while not ended and time.monotonic() - start < LIMIT_S:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not ended:
        os.killpg(child, 9)
        os.waitpid(child, 0)
    try:
        if not ended:
            return {"refused": HUNG}
        if status:
            return {"refused": ENDED}
        answer = json.loads((place / "answer.json").read_text())
        assert isinstance(answer, dict)
        return answer
    finally:
        shutil.rmtree(place)


def _child(folder: Path, order: dict[str, str], place: Path) -> None:
    from pipelines.run.jobs.refusal import Refusal

    os.chdir(place)
    log = os.open("sdk.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    try:
        answer = _measured(folder, order)
    except Refusal as refusal:
        answer = {"refused": refusal.what}
    except BaseException as error:
        answer = {"refused": f"{type(error).__name__}: {error}"}
    Path("answer.json").write_text(json.dumps(answer))
    os._exit(0)


def _measured(folder: Path, order: dict[str, str]) -> dict[str, Any]:
    import numpy as np

    from pipelines.backends.rknn.sdk.api import Sdk
    from pipelines.backends.rknn.sdk.refusals import log

    held = np.load(folder / f"{order['name']}.npz")
    sdk = Sdk(verbose=False)
    is_float = order["dtype"] == "float16"
    told = {} if is_float else {"quantized_dtype": order["dtype"]}
    sdk.config(target_platform=order["platform"], **told)
    sdk.load_onnx(str(folder / f"{order['name']}.onnx"))
    if is_float:
        sdk.build(do_quantization=False)
    else:
        for i, one in enumerate(held["x"]):
            np.save(f"{i}.npy", one)
        Path("dataset.txt").write_text("".join(f"{i}.npy\n" for i in range(len(held["x"]))))
        sdk.build(do_quantization=True, dataset="dataset.txt")
    sdk.export(Path("model.rknn"))
    layers = log.compilations(sdk.log)[-1].layers
    answer = {
        **_place(layers, order["dtype"]),
        "bytes": Path("model.rknn").stat().st_size,
        "cycles": sum(layer.cycles_total or 0 for layer in layers),
    }
    try:
        sdk.start_simulator()
        got = sdk.infer([held["x"][0]], ["nchw"])[0]
    except BaseException as error:
        return {**answer, "unsimulated": f"{type(error).__name__}: {error}"[:300]}
    wanted = held["y"]
    if got.size != wanted.size:
        return {**answer, "unsimulated": f"{got.shape} instead of {wanted.shape}"}
    difference = np.abs(got.reshape(wanted.shape).astype(np.float64) - wanted).max()
    return {**answer, "error": float(difference / np.ptp(wanted))}


def _place(layers: Sequence[Any], dtype: str) -> dict[str, Any]:
    """Where the case's own layers run: those between the first convolutions and the last."""
    own = [layer for layer in layers if layer.op_type not in _ENDS]
    while len(own) > 1 and own[0].op_type == "Conv" and own[0].target == "NPU":
        own = own[1:]
    if len(own) > 1 and own[-1].op_type == "Conv" and own[-1].target == "NPU":
        own = own[:-1]
    return {
        "npu": sum(layer.target == "NPU" for layer in own),
        "cpu": sum(layer.target == "CPU" for layer in own),
        "float": dtype != "float16" and any(layer.dtype.startswith("FLOAT") for layer in own),
        "types": list(dict.fromkeys(layer.op_type for layer in own)),
    }


if __name__ == "__main__":
    main()
