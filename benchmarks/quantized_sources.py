"""Networks that other tools have quantized: what the .rknn makes of their scales, and the cost.

    .venv/bin/python -m benchmarks.quantized_sources --folder FOLDER [--only TEXT ...] [--torch]

Installs pinned packages from the Python index into FOLDER, one environment a tool, and lets each
quantize one small network (convolutions, a depthwise one, Add, Swish, global average, fully
connected; seeded weights) by 16 seeded samples. AIMET and modelopt need torch, gigabytes where no
CPU build of it is configured: only with --torch. Every file is then built for rk3588 by `./doit`
with `dtype: prequantized`, beside the float network that the SDK quantizes by the same samples.
TFLite files are of the same layers in Keras, with other weights; int8 ones the SDK reads itself,
and those of dynamic range are built as `dtype: w8a8` too, which is what their refusal says.

Errors are the largest difference as a share of the output's range on 4 of the samples: of the SDK's
simulator against the source in onnxruntime, as it is written, or in LiteRT, and against the float
network there. The simulator of an int8 TFLite file takes and gives what the file's own inputs and
outputs are, codes or floats. Its tensors have names of the SDK's: a scale counts as kept where one
of the .rknn has the same scale and zero point, and as changed where the .rknn has one that the
source has not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from onnx import helper

from pipelines.run.toolchain.toolchain import Environments
from quant.execution.run import FloatRun
from quant.rknn import file as rknn_file
from quant.rknn import scales
from tests.conftest import ROOT
from tests.graph_builder import Builder
from tests.workspace import Workspace

SHAPE = (1, 3, 32, 32)
SAMPLES, COMPARED = 16, 4
DIRECT = {
    "rknn": {"load": "direct"},
    "inputs": {"serving_default_x:0": {"shape": [1, 32, 32, 3]}},
    "targets": {"rk3588": {"toolchain": "rknn-2.5.0-tensorflow"}},
}
DIRECT_TOOLCHAIN = "rknn-2.5.0-tensorflow"
STAND_IN = ROOT / "pipelines/backends/rknn/torch_stand_in"
SIMULATED = """
import sys
import numpy as np
from rknn.api import RKNN
rknn = RKNN(verbose=False)
rknn.config(target_platform="rk3588")
assert rknn.load_tflite(sys.argv[1]) == rknn.build(do_quantization=False) == 0
assert rknn.init_runtime() == 0
given = np.load(sys.argv[2])
np.save(sys.argv[3], [rknn.inference([one], data_format="nhwc")[0] for one in given])
"""
ANALYZED = {"analyze": {"npy": "samples.npy", "samples": COMPARED}}
HEAD = """
import sys
import numpy as np, onnx
samples = np.load("samples.npy")
"""
READER = """
from onnxruntime.quantization import (
    CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static)
class Reader(CalibrationDataReader):
    def __init__(self):
        self.left = iter(samples)
    def get_next(self):
        one = next(self.left, None)
        return None if one is None else {"x": one}
"""


@dataclass(frozen=True)
class Tool:
    """pins: what it needs. code: writes sys.argv[1]; needs_torch: see above.

    suffix: of what it writes; a .tflite is of a Keras network of the same layers.
    """

    pins: tuple[str, ...]
    code: str
    needs_torch: bool = False
    suffix: str = ".onnx"


def ort(**options: str) -> Tool:
    given = ", ".join(f"{key}={value}" for key, value in options.items())
    code = f"{HEAD}{READER}\nquantize_static('float.onnx', sys.argv[1], Reader(), {given})\n"
    return Tool(("onnx==1.18.0", "onnxruntime==1.23.2", "numpy==1.26.4"), code)


def nncf(preset: str) -> Tool:
    code = f"""{HEAD}
import nncf
data = nncf.Dataset(list(samples), lambda one: {{"x": one}})
preset = nncf.QuantizationPreset.{preset}
model = nncf.quantize(onnx.load("float.onnx"), data, subset_size=len(samples), preset=preset)
onnx.save(model, sys.argv[1])
"""
    return Tool(("nncf==3.4.0", "onnx==1.18.0", "onnxruntime==1.23.2", "numpy==1.26.4"), code)


AIMET = f"""{HEAD}
from aimet_onnx.quantsim import QuantizationSimModel
sim = QuantizationSimModel(onnx.load("float.onnx"), providers=["CPUExecutionProvider"])
sim.compute_encodings([{{"x": one}} for one in samples])
onnx.save(sim.to_onnx_qdq(), sys.argv[1])
"""
MODELOPT = f"""{HEAD}
from modelopt.onnx.quantization import quantize
quantize("float.onnx", quantize_mode="int8", calibration_method="max",
         calibration_data={{"x": samples[:, 0]}}, output_path=sys.argv[1])
"""
DYNAMIC = f"""{HEAD}
from onnxruntime.quantization import QuantType, quantize_dynamic
quantize_dynamic("float.onnx", sys.argv[1], weight_type=QuantType.QInt8)
"""
KERAS = """
import sys
import numpy as np, tensorflow as tf
samples = np.load("samples.npy").transpose(0, 1, 3, 4, 2)
tf.keras.utils.set_random_seed(0)
layers = tf.keras.layers
x = given = layers.Input((32, 32, 3), batch_size=1, name="x")
x = layers.Conv2D(16, 3, 2, "same", activation="relu")(x)
y = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
y = layers.Add()([layers.Conv2D(16, 1)(y), x])
y = layers.Conv2D(32, 3, 2, "same")(y)
y = layers.GlobalAveragePooling2D()(layers.Multiply()([y, layers.Activation("sigmoid")(y)]))
model = tf.keras.Model(given, layers.Dense(10)(y))
converter = tf.lite.TFLiteConverter.from_keras_model(model)
"""
OPS = "converter.target_spec.supported_ops = [tf.lite.OpsSet.{}]\n"
STATIC = """
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.representative_dataset = lambda: ([one] for one in samples)
"""


def tensorflow(code: str) -> Tool:
    write = "open(sys.argv[1], 'wb').write(converter.convert())\n"
    return Tool(("tensorflow-cpu==2.19.1",), KERAS + code + write, suffix=".tflite")


FLOAT_TFLITE = tensorflow("")


def ai_edge(recipe: str) -> Tool:
    """samples: keyed by the signature, then by its input."""
    code = f"""{HEAD.replace(", onnx", "")}
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe
(key, signature), = Interpreter("float.tflite").get_signature_list().items()
name, = signature["inputs"]
given = [{{name: one}} for one in samples.transpose(0, 1, 3, 4, 2)]
made = quantizer.Quantizer("float.tflite", recipe.{recipe}())
ranges = made.calibrate({{key: given}}) if made.need_calibration else None
open(sys.argv[1], "wb").write(bytes(made.quantize(ranges).quantized_model))
"""
    pins = ("ai-edge-quantizer==0.10.0", "ai-edge-litert==2.3.0", "numpy==2.4.6")
    return Tool(pins, code, suffix=".tflite")


Q8 = {"activation_type": "QuantType.QInt8", "weight_type": "QuantType.QInt8"}
U8 = {"activation_type": "QuantType.QUInt8", "weight_type": "QuantType.QInt8"}
SYMMETRIC = {"extra_options": "{'ActivationSymmetric': True}"}
TOOLS: Mapping[str, Tool] = {
    "onnxruntime 1.23.2 S8S8": ort(**Q8),
    "onnxruntime 1.23.2 S8S8 per channel": ort(**Q8, per_channel="True"),
    "onnxruntime 1.23.2 S8S8 symmetric": ort(**Q8, **SYMMETRIC),
    "onnxruntime 1.23.2 U8S8": ort(**U8),
    "onnxruntime 1.23.2 U8U8": ort(
        activation_type="QuantType.QUInt8", weight_type="QuantType.QUInt8"
    ),
    "onnxruntime 1.23.2 16-bit activations": ort(
        activation_type="QuantType.QInt16", weight_type="QuantType.QInt8"
    ),
    "onnxruntime 1.23.2 QOperator": ort(**Q8, quant_format="QuantFormat.QOperator"),
    "onnxruntime 1.23.2 dynamic": Tool(
        ("onnx==1.18.0", "onnxruntime==1.23.2", "numpy==1.26.4"), DYNAMIC
    ),
    "nncf 3.4.0 mixed": nncf("MIXED"),
    "nncf 3.4.0 performance": nncf("PERFORMANCE"),
    "tensorflow 2.19.1 int8": tensorflow(STATIC + OPS.format("TFLITE_BUILTINS_INT8")),
    "tensorflow 2.19.1 16x8": tensorflow(
        STATIC + OPS.format("EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8")
    ),
    "tensorflow 2.19.1 dynamic range": tensorflow(
        "converter.optimizations = [tf.lite.Optimize.DEFAULT]\n"
    ),
    "ai-edge-quantizer 0.10.0 int8": ai_edge("static_wi8_ai8"),
    "ai-edge-quantizer 0.10.0 16x8": ai_edge("static_wi8_ai16"),
    "ai-edge-quantizer 0.10.0 dynamic range": ai_edge("dynamic_wi8_afp32"),
    "ai-edge-quantizer 0.10.0 weights alone": ai_edge("weight_only_wi8_afp32"),
    "ai-edge-quantizer 0.10.0 dynamic range of 4 bits": ai_edge("dynamic_wi4_afp32"),
    "aimet-onnx 2.42.0": Tool(
        ("aimet-onnx==2.42.0", "onnx==1.18.0", "numpy==1.26.4"), AIMET, needs_torch=True
    ),
    "nvidia-modelopt 0.47.0": Tool(
        (
            *("nvidia-modelopt==0.47.0", "onnx==1.18.0", "onnxruntime==1.23.2", "numpy==1.26.4"),
            *("onnx-graphsurgeon==0.6.1", "polygraphy==0.50.3", "onnxscript==0.7.2"),
            *("onnxconverter-common==1.16.0", "onnxslim==0.1.98", "lief==0.17.6"),
        ),
        MODELOPT,
        needs_torch=True,
    ),
}


def float_network() -> onnx.ModelProto:
    b = Builder(0)
    x = b.op("Relu", b.op("Conv", "x", b.weight(16, 3, 3, 3), pads=[1] * 4, strides=[2, 2]))
    y = b.op("Relu", b.op("Conv", x, b.weight(16, 1, 3, 3), pads=[1] * 4, group=16))
    y = b.op("Add", b.op("Conv", y, b.weight(16, 16, 1, 1)), x)
    y = b.op("Conv", y, b.weight(32, 16, 3, 3), pads=[1] * 4, strides=[2, 2])
    y = b.op("Flatten", b.op("GlobalAveragePool", b.op("Mul", y, b.op("Sigmoid", y))))
    b.nodes.append(helper.make_node("Gemm", [y, b.weight(32, 10)], ["y"], "y"))
    return b.model({"x": SHAPE}, ["y"], 13)


def environment(folder: Path, tool: Tool) -> Path:
    """A Python with the tool's pins; made once."""
    place = folder / ("env-" + tool.pins[0].replace("==", "-"))
    if not (place / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        pip = [str(place / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *tool.pins], check=True)
        (place / "made").touch()
    return place / "bin/python"


def quantized(folder: Path, name: str, tool: Tool) -> Path:
    file = folder / f"{name.replace(' ', '_')}{tool.suffix}"
    if not file.exists():
        command = [str(environment(folder, tool)), "-c", tool.code, file.name]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if ran.returncode or not file.exists():
            sys.exit(f"{name} failed:\n{ran.stdout[-1000:]}{ran.stderr[-2000:]}")
    return file


def outputs(file: Path, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """In onnxruntime, as the graph is written; of a TFLite file in LiteRT."""
    if file.suffix == ".tflite":
        return in_litert(file, samples)
    run = FloatRun(onnx.load(file))
    return np.stack([next(iter(run({"x": one}).values())) for one in samples])


def in_litert(file: Path, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """samples: channels first. Codes are made and read by the file's own scales."""
    run = Interpreter(str(file))
    run.allocate_tensors()
    (made,) = run.get_output_details()
    (given,) = run.get_input_details()
    found = []
    for codes in as_codes(given, samples):
        run.set_tensor(given["index"], codes)
        run.invoke()
        found.append(run.get_tensor(made["index"]))
    return as_real(made, np.stack(found))


def as_codes(told: Mapping[str, Any], samples: NDArray[np.float32]) -> NDArray[Any]:
    """What an input that LiteRT tells of takes, channels last."""
    real = samples.transpose(0, 1, 3, 4, 2)
    if told["dtype"] == np.float32:
        return real
    (scale, zero), span = told["quantization"], np.iinfo(told["dtype"])
    codes = np.clip(np.rint(real / scale) + zero, span.min, span.max)
    return np.asarray(codes, told["dtype"])


def as_real(told: Mapping[str, Any], made: NDArray[Any]) -> NDArray[np.float32]:
    if told["dtype"] == np.float32:
        return np.asarray(made, np.float32)
    scale, zero = told["quantization"]
    return np.asarray((made.astype(np.float32) - zero) * scale, np.float32)


def in_simulator(file: Path, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The SDK's simulator of a TFLite file that it reads itself."""
    run = Interpreter(str(file))
    (given,), (made,) = run.get_input_details(), run.get_output_details()
    codes, out = file.with_suffix(".codes.npy"), file.with_suffix(".simulated.npy")
    np.save(codes, as_codes(given, samples))
    python = Environments(ROOT).python(DIRECT_TOOLCHAIN)
    command = [str(python), "-c", SIMULATED, file.name, codes.name, out.name]
    environment = {**os.environ, "PYTHONPATH": str(STAND_IN)}
    subprocess.run(command, cwd=file.parent, env=environment, check=True, capture_output=True)
    found = np.load(out)
    assert found.dtype == made["dtype"], "the simulator gives another type than the file says"
    return as_real(made, found)


def tflite_scales(source: Path, made: Path) -> dict[str, int]:
    """Of distinct scales and zero points of what is computed."""
    run = Interpreter(str(source))
    run.allocate_tensors()
    own = set()
    for one in run.get_tensor_details():
        scale, zero = one["quantization"]
        is_computed = one["dtype"] == np.int8 and len(one["quantization_parameters"]["scales"]) == 1
        if is_computed and not is_constant(run, one):
            own.add((np.float32(scale), zero))
    held = {
        (np.float32(scale), zero)
        for scale, zero in scales.of_tensors(rknn_file.read(made)).values()
    }
    return {"scales": len(own), "kept": len(own & held), "changed": len(held - own)}


def is_constant(run: Any, told: Mapping[str, Any]) -> bool:
    produced = {i for op in run._get_ops_details() for i in op["outputs"]}
    return told["index"] not in produced | {one["index"] for one in run.get_input_details()}


def build(workspace: Workspace, source: Path, dtype: str) -> dict[str, Any] | str:
    """The .rknn's outputs, bytes and what is said of its scales; or the refusal."""
    name = f"m{len(list((workspace.root / 'models').glob('*')))}"
    folder = workspace.root / "models" / name
    folder.mkdir(parents=True)
    kind = source.suffix.removeprefix(".")
    shutil.copy(source, folder / f"net.{kind}")
    shutil.copy(source.parent / "samples.npy", folder)
    is_direct = kind == "tflite" and dtype == "prequantized"
    data = {} if dtype == "prequantized" else {"calibration": {"npy": "samples.npy"}}
    recipe = {
        "model": name,
        "source": {kind: f"net.{kind}"},
        "quantize": {"dtype": dtype, **data},
        "targets": {"rk3588": {}},
        **(DIRECT if is_direct else ANALYZED),
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    ran = workspace.doit(name, timeout_s=900)
    if ran.code:
        lines = [line.strip() for line in ran.err.splitlines()]
        at = next((i for i, line in enumerate(lines) if "FAILED" in line), -2)
        return " ".join(lines[at + 1 : at + 2])
    made = workspace.built(name, "rk3588/model.rknn")
    compared = np.load(folder / "samples.npy")[:COMPARED]
    if is_direct:
        return {
            "outputs": in_simulator(source, compared),
            "bytes": made.stat().st_size,
            "scales": tflite_scales(source, made),
        }
    files = [folder / f"{number}.npy" for number in range(COMPARED)]
    for file, one in zip(files, compared, strict=True):
        np.save(file, one)
    step = f"{name}@rk3588"
    ran = workspace.doit("infer", step, *map(str, files), "--output", str(folder / "made"))
    assert ran.code == 0, ran.err
    simulated = np.load(folder / "made" / "simulator.npz")
    layers = json.loads(workspace.built(name, "rk3588/report/layers.json").read_text())
    causes = {one["name"]: one["evidence"] for one in layers["causes"]}
    told = causes.get("source_scales")
    return {
        "outputs": next(iter(simulated.values()))[:COMPARED],
        "bytes": made.stat().st_size,
        "scales": None
        if told is None
        else {**told, "kept": told["scales"] - told["changed"] - told["inside"]},
    }


def row(name: str, source: Path, made: dict[str, Any] | str) -> dict[str, Any]:
    if isinstance(made, str):
        return {"source": name, "scales kept": "refused: " + made}
    samples = np.load(source.parent / "samples.npy")[:COMPARED]
    real = outputs(source.parent / f"float{source.suffix}", samples)
    own = outputs(source, samples)
    span = float(real.max() - real.min())
    found = made["outputs"].reshape(real.shape)
    told = made["scales"]
    kept = changed = inside = ""
    if told is not None:
        kept, changed = told["kept"], told["changed"]
        inside = told["scales"] - kept - changed
    return {
        "source": name,
        "scales kept": kept,
        "changed": changed,
        "inside": inside,
        "bytes": f"{made['bytes']:,}",
        "file - source": f"{np.abs(found - own).max() / span:.2%}",
        "source - float": f"{np.abs(own - real).max() / span:.2%}",
        "file - float": f"{np.abs(found - real).max() / span:.2%}",
    }


def rows(folder: Path, only: list[str], with_torch: bool) -> Iterator[dict[str, Any]]:
    root = folder / "project"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    workspace = Workspace(root)
    source = folder / "float.onnx"
    yield row("float network, quantized by the SDK", source, build(workspace, source, "w8a8"))
    source = quantized(folder, "float", FLOAT_TFLITE)
    name = "float Keras network, quantized by the SDK"
    yield row(name, source, build(workspace, source, "w8a8"))
    for name, tool in TOOLS.items():
        is_wanted = any(text in name for text in only or [""])
        if is_wanted and (with_torch or not tool.needs_torch):
            file = quantized(folder, name, tool)
            made = build(workspace, file, "prequantized")
            yield row(name, file, made)
            if isinstance(made, str) and "dynamic range" in made:
                yield row(f"{name}, as w8a8", file, build(workspace, file, "w8a8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], help="parts of a tool's name")
    parser.add_argument("--torch", action="store_true", help="also what needs torch")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(exist_ok=True)
    onnx.save(float_network(), folder / "float.onnx")
    samples = np.random.default_rng(1).normal(size=(SAMPLES, *SHAPE)).astype(np.float32)
    np.save(folder / "samples.npy", samples)
    heads = ["source", "scales kept", "changed", "inside", "bytes", "file - source"]
    heads += ["source - float", "file - float"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for one in rows(folder, arguments.only, arguments.torch):
        print("| " + " | ".join(str(one.get(head, "")) for head in heads) + " |", flush=True)


if __name__ == "__main__":
    main()
