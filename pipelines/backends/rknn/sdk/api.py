"""rknn-toolkit2, typed, with every failure turned into a Refusal: its only importer.

The SDK reports failure in four ways: an exception, a return code that is not 0, an `E` line that
names a register that the chip does not have while it returns 0, and a dead process. The last is the
worker's to notice; the other three end here. It writes into the current folder, so that must be a
folder of the step's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.backends.rknn.sdk import spared
from pipelines.backends.rknn.sdk.capture import captured
from pipelines.backends.rknn.sdk.instead import quicker
from pipelines.backends.rknn.sdk.instead.replaced import toolkit
from pipelines.backends.rknn.sdk.refusals import log
from pipelines.backends.rknn.sdk.refusals.refusal import SdkRefusal
from pipelines.run.jobs.refusal import Refusal

# Read when tqdm is imported; its bars would be most of the log.
os.environ.setdefault("TQDM_DISABLE", "1")

from rknn.api import RKNN

Array = NDArray[Any]
_VERSION = toolkit()

# Printed while the SDK returns 0, and then the file fails on a board: airockchip/rknn-toolkit2
# issues 364 and 419. `Unkown op target: 0` stands in nearly every log and means nothing.
FATAL = re.compile(r"REGTASK|Conv Not Support|Meet unsupported")
NOISE = re.compile(r"Traceback|rknn-toolkit2 version|File \"|=====|raise |Unkown op target")


def version() -> str:
    """The SDK's version, such as `2.5.0`."""
    return _VERSION


class Sdk:
    """One RKNN object. `log` is all that the SDK has printed for it so far."""

    def __init__(self, *, verbose: bool = True) -> None:
        """verbose: also print which rewrite rules fire."""
        self.log = ""
        self._rknn: Any = None
        with spared.machine():
            self._rknn = self._run("RKNN", lambda: RKNN(verbose=verbose))

    def config(self, **options: Any) -> None:
        """RKNN.config, by its own names."""
        self._do("config", **options)

    def load_onnx(self, model: str, **options: Any) -> None:
        """RKNN.load_onnx: inputs, input_size_list, input_initial_val, outputs."""
        self._do("load_onnx", model=model, **options)

    def load_torchscript(self, model: str, input_size_list: Sequence[Sequence[int]]) -> None:
        """RKNN.load_pytorch; needs a toolchain with the real torch."""
        self._do("load_pytorch", model=model, input_size_list=[list(s) for s in input_size_list])

    def load_tflite(self, model: str, **options: Any) -> None:
        """RKNN.load_tflite: input_is_nchw."""
        self._do("load_tflite", model=model, **options)

    def hybrid_step1(self, dataset: str, **options: Any) -> None:
        """Calibrate. Writes NAME.model, NAME.data and NAME.quantization.cfg to the current folder.

        options: rknn_batch_size, proposal, proposal_dataset_size, custom_hybrid.
        """
        with spared.entropy(), spared.emitted(), spared.copies(), quicker.step1():
            self._do("hybrid_quantization_step1", dataset=dataset, **options)

    def hybrid_step2(self, model: str, data: str, config: str) -> None:
        """Compile what step 1 wrote, on an object that nothing was called on.

        Not even `config`: NAME.data holds step 1's, and the SDK refuses one that is not equal.
        """
        with spared.comments(), spared.copies(), spared.inferred_weights():
            self._do(
                "hybrid_quantization_step2",
                model_input=model,
                data_input=data,
                model_quantization_cfg=config,
            )

    def build(self, **options: Any) -> None:
        """RKNN.build: do_quantization, dataset, rknn_batch_size, auto_hybrid."""
        self._do("build", **options)

    def export(self, path: Path) -> None:
        """Write the compiled model. Raises Refusal where no .rknn file has come of it."""
        self._do("export_rknn", export_path=str(path))
        if not path.is_file() or path.stat().st_size == 0:
            raise Refusal(f"rknn-toolkit2 {version()} reported success but wrote no {path.name}")
        with path.open("rb") as file:
            if file.read(4) != b"RKNN":
                raise Refusal(f"{path.name} is no .rknn file: it does not start with `RKNN`")

    def load_rknn(self, path: Path) -> None:
        """Read an .rknn file back; such an object can't be compiled or simulated."""
        self._do("load_rknn", path=str(path))

    def write_demo(self, folder: Path) -> None:
        """RKNN.codegen: a C++ program that runs the model.

        It stands in for `export_rknn(cpp_gen_cfg=True)`, which writes nothing since 2.2.0.
        """
        self._do("codegen", output_path=str(folder), overwrite=True)

    def accuracy_analysis(self, inputs: Sequence[str], folder: Path) -> str:
        """error_analysis.txt of one sample (one file for each input); needs a build before it.

        folder: for what else the SDK writes; see spared.texts.
        """
        with spared.texts():
            self._do("accuracy_analysis", inputs=list(inputs), output_dir=str(folder))
        return (folder / "error_analysis.txt").read_text()

    def start_simulator(self) -> None:
        self._do("init_runtime")

    def connect(self, platform: str, device: str) -> None:
        """init_runtime on a board, by adb and its rknn_server. The SDK asks the board for root."""
        self._do("init_runtime", target=platform, device_id=device)

    def infer(self, inputs: Sequence[Array], formats: Sequence[str]) -> list[Array]:
        """What simulator or board put out, float32, in the order of the file's output operators.

        inputs: before mean and std. formats: `nchw` or `nhwc` for each.
        """
        outputs = self._run(
            "inference",
            lambda: self._rknn.inference(inputs=list(inputs), data_format=list(formats)),
        )
        if outputs is None:
            raise self._refusal("inference", "returned nothing", self.log)
        return [np.asarray(output) for output in outputs]

    def _do(self, name: str, **arguments: Any) -> None:
        start = len(self.log)
        code = self._run(name, lambda: getattr(self._rknn, name)(**arguments))
        if code != 0:
            raise self._refusal(name, f"returned {code}", self.log[start:])

    def _run(self, name: str, call: Callable[[], Any]) -> Any:
        """Call the SDK; its own SystemExit is a failure like any other."""
        try:
            with captured() as printed, spared.checks():
                result = call()
        except (Exception, SystemExit) as error:
            self.log += printed.text
            raise self._refusal(name, str(error), printed.text) from error
        self.log += printed.text
        fatal = [line for line in log.errors(printed.text) if FATAL.search(line)]
        if fatal:
            raise SdkRefusal(
                f"rknn-toolkit2 {version()} printed an error in {name} and went on: {fatal[0]}",
                "a file made like this fails on the board; change or split the layer that the log "
                "names before it",
                sentence=fatal[0],
                printed=printed.text,
                seen=self.log,
            )
        return result

    def _refusal(self, name: str, fault: str, printed: str) -> SdkRefusal:
        """What the SDK says last that means something, else the bare fault."""
        said = [line for line in log.errors(printed) if not NOISE.search(line)]
        last = [line.strip() for line in fault.splitlines() if line.strip()] or ["no reason given"]
        if "Traceback" in fault:
            sentence = last[-1]
        elif said:
            sentence = said[-1]
        else:
            sentence = (*log.warnings(printed), last[-1])[0]
        sentence = sentence.removeprefix(f"{name}: ").removeprefix("ValueError: ")
        what = f"rknn-toolkit2 {version()} refused {name}: {sentence}"
        return SdkRefusal(
            what, _hint(sentence), sentence=sentence, printed=f"{printed}\n{fault}", seen=self.log
        )


# What to do about refusals that the SDK words without saying it.
HINTS = (
    (re.compile(r"`torch\."), "name the toolchain `rknn-2.5.0-torch` for this target"),
    (re.compile(r"import tensorflow"), "name a toolchain that has tensorflow, or `load: convert`"),
    (re.compile(r"float NaN"), "the model's weights hold NaN: export it from a sound checkpoint"),
    (re.compile(r"opset", re.I), "export with a lower opset: `source: {opset: 15}`"),
    (re.compile(r"read-only"), "simplify the model: `simplify: {tool: onnxsim}`"),
)


def _hint(sentence: str) -> str:
    return next((hint for pattern, hint in HINTS if pattern.search(sentence)), "")
