"""One quantizer at work, in the Python of its toolchain. See benchmarks.fixed_point."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mobilenet import Array, as_keras, as_onnx, pictures

INPUT_SCALE = 64
CALIBRATION, HELD_OUT = 1, 2  # seeds of pictures
OPTIONS: dict[str, dict[str, Any]] = {
    "unsigned": {"activations": "unsigned"},
    "channel": {"activations": "unsigned", "weights": "channel"},
}
GPTQ = "-gptq"  # behind one of them: with weight_rounding gptq
COMPARED = 32  # pictures that outputs are compared on


def npumake(folder: Path, samples: int, way: str = "") -> float:
    """As `./doit quantize` does it, but for the proof of both files."""
    from quant.equalization.equalize import equalize
    from quant.fixed_point.calibration.ranges import observe
    from quant.fixed_point.calibration.tuning import Tuner, is_wanted
    from quant.fixed_point.lower import lower
    from quant.fixed_point.network.options import Options
    from quant.fixed_point.onnx.to_onnx import to_onnx
    from quant.fixed_point.prepare import prepare
    from quant.fixed_point.tflite.to_tflite import to_tflite
    from quant.graph.file import read

    began = time.perf_counter()
    model = equalize(prepare(read(folder / "float.onnx")))
    tuner = Tuner(model) if is_wanted("gptq" if way.endswith(GPTQ) else "auto", model) else None
    ranges = observe(model, ({"input": x} for x in pictures(samples, CALIBRATION)), tuner)
    options = OPTIONS.get(way.removesuffix(GPTQ), {})
    tuning = tuner.tuning() if tuner else None
    network = lower(model, ranges, Options(INPUT_SCALE, **options), tuning)
    name = f"npumake-{way}" if way else "npumake"
    (folder / f"{name}.onnx").write_bytes(to_onnx(network, "mobilenet").SerializeToString())
    (folder / f"{name}.tflite").write_bytes(to_tflite(network, "mobilenet"))
    return time.perf_counter() - began


def onnxruntime(folder: Path, samples: int) -> float:
    """quantize_static as it comes: QDQ, MinMax, int8, per tensor."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._pictures = pictures(samples, CALIBRATION)

        def get_next(self) -> dict[str, Array] | None:
            return next(({"input": x} for x in self._pictures), None)

    began = time.perf_counter()
    quantization.quantize_static(
        str(folder / "float.onnx"),
        str(folder / "onnxruntime.onnx"),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        calibrate_method=quantization.CalibrationMethod.MinMax,
    )
    return time.perf_counter() - began


def tensorflow(folder: Path, samples: int) -> float:
    """The TFLite converter's post-training quantization: int8 kernels, weights per channel."""
    import tensorflow as tf

    model = as_keras()
    if samples == 1:  # not measured: what the two float networks say must be the same
        held_out = [x.transpose(0, 2, 3, 1) for x in pictures(2, HELD_OUT)]
        np.save(folder / "keras.npy", np.concatenate([model(x).numpy() for x in held_out]))
    began = time.perf_counter()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [x.transpose(0, 2, 3, 1)] for x in pictures(samples, CALIBRATION)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    (folder / "tensorflow.tflite").write_bytes(converter.convert())
    return time.perf_counter() - began


QUANTIZERS: dict[str, Callable[[Path, int], float]] = {
    "npumake": npumake,
    **{f"npumake-{way}": partial(npumake, way=way) for way in OPTIONS},
    **{f"npumake-{way}{GPTQ}": partial(npumake, way=way + GPTQ) for way in OPTIONS},
    "onnxruntime": onnxruntime,
    "tensorflow": tensorflow,
}


def errors(folder: Path) -> dict[str, list[float]]:
    """File -> cosine of the scores with float's, over all pictures, and the largest error.

    Cosine: of what is left of each class's scores without their mean, as random weights give all
    pictures much the same scores. The error is a share of float's largest score.
    """
    expected = outputs(folder / "float.onnx")
    keras = np.load(folder / "keras.npy")
    if np.abs(keras - expected[: len(keras)]).max() > 1e-4 * np.abs(expected).max():
        sys.exit("the Keras network and the ONNX network are not the same")
    found = {}
    for file in sorted([*folder.glob("*.onnx"), *folder.glob("*.tflite")]):
        if file.name != "float.onnx":
            found[file.name] = list(error(expected, outputs(file)))
    as_written = in_onnxruntime(folder / "onnxruntime.onnx", is_as_written=True)
    found["onnxruntime-as-written.onnx"] = list(error(expected, scores(as_written)))
    return found


def error(expected: Array, actual: Array) -> tuple[float, float]:
    one, other = (scores.astype(np.float64) for scores in (expected, actual))
    largest = float(np.abs(one - other).max() / np.abs(one).max())
    one, other = (scores - scores.mean(axis=0) for scores in (one, other))
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())), largest


def outputs(file: Path) -> Array:
    """Scores for the pictures held out."""
    return scores(in_onnxruntime(file) if file.suffix == ".onnx" else in_litert(file))


def scores(run: Callable[[Array], Array]) -> Array:
    return np.concatenate([run(x) for x in pictures(COMPARED, HELD_OUT)])


def in_onnxruntime(file: Path, *, is_as_written: bool = False) -> Callable[[Array], Array]:
    """is_as_written: each node of the file for itself, so that layers between a dequantize and a
    quantize are float's. Its int8 kernels, which they become otherwise, saturate sums on processors
    without VNNI."""
    from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions

    options = SessionOptions()
    if is_as_written:
        options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    session = InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda x: np.asarray(session.run(None, {"input": x})[0])


def in_litert(file: Path) -> Callable[[Array], Array]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file))
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(x: Array) -> Array:
        interpreter.set_tensor(given["index"], x.transpose(0, 2, 3, 1))
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(made["index"]))

    return run


def main() -> None:
    """Arguments: a quantizer's name, the folder, how many samples; or `errors` or `model`."""
    kind, folder = sys.argv[1], Path(sys.argv[2])
    if kind == "model":
        (folder / "float.onnx").write_bytes(as_onnx().SerializeToString())
    elif kind == "errors":
        print(json.dumps(errors(folder)))
    else:
        print(json.dumps(QUANTIZERS[kind](folder, int(sys.argv[3]))))


if __name__ == "__main__":
    main()
