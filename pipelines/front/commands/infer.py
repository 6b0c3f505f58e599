"""./doit infer MODEL@TARGET FILE...: one sample through the float model and the simulator."""

from __future__ import annotations

import argparse
import json
import shutil

from pipelines import console
from pipelines.backends.rknn.stages import infer_step
from pipelines.front.cli import UsageError
from pipelines.front.commands.command import OwnCommand
from pipelines.project import CURRENT
from pipelines.toolchain import Environments
from pipelines.worker import Failed


class Infer(OwnCommand):
    name = "infer"
    doc_purpose = "run images or npy files through the float model and the simulator"
    doc_usage = "MODEL@TARGET FILE... [--output FOLDER]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("target", metavar="MODEL@TARGET")
        parser.add_argument(
            "files",
            nargs="+",
            metavar="FILE",
            help="images or npy files; a model of k inputs takes k files a sample",
        )
        parser.add_argument(
            "--output", metavar="FOLDER", help="keep the outputs as npz files there"
        )

    def act(self, arguments: argparse.Namespace) -> int:
        recipe, target = _find(arguments.target)
        files = [_existing(file) for file in arguments.files]
        listing = _write_list(recipe, files)
        step = infer_step(recipe, target, listing.relative_to(CURRENT.root).as_posix(), files)
        stale = [path for path in step.inputs.values() if CURRENT.builder.contents.of(path) is None]
        if stale:
            raise UsageError(f"{arguments.target} is not built\n  run: ./doit {arguments.target}")
        Environments(CURRENT.root).make(step.toolchains)
        try:
            result = CURRENT.builder.worker.run(step, CURRENT.builder.log_of(step))
        except Failed as error:
            console.say(str(error), "red")
            return 1
        try:
            _tell(json.loads((result.out / "infer.json").read_text()), arguments.files)
            if arguments.output:
                shutil.copytree(result.out, arguments.output, dirs_exist_ok=True)
        finally:
            shutil.rmtree(result.folder)
        return 0
