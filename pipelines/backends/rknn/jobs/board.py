"""infer on a board, for the rknn backend: samples through the float network and the NPU itself.

params: BoardParams.
inputs and data: as for infer.

Writes out/float.npz and out/board.npz (output name -> [samples, *shape]) and out/comparison.json,
see pipelines.stages.compare.jobs.comparison.
"""

from __future__ import annotations

from pipelines.backends.rknn.analysis.end_to_end import Runner, reference
from pipelines.backends.rknn.file import compiled_graph
from pipelines.backends.rknn.params import BoardParams
from pipelines.backends.rknn.sdk import board
from pipelines.backends.rknn.sdk.api import Sdk
from pipelines.backends.rknn.sdk.compile import input_names
from pipelines.run.jobs.job import Job
from pipelines.stages.compare.jobs.comparison import save
from pipelines.stages.compare.jobs.tail import Tail
from pipelines.stages.samples.jobs import prepared_samples


def run(job: Job[BoardParams]) -> None:
    artifact = job.inputs["artifact.rknn"]
    file = compiled_graph.read(artifact)
    samples = prepared_samples.read(job, input_names(job))
    network = reference(job, file.outputs)
    program = board.adb()
    with board.adb_server(program):
        board.require(job.params.device, board.boards(program))
        sdk = Sdk(verbose=False)
        sdk.load_rknn(artifact)
        sdk.connect(job.params.platform, job.params.device)
        on_board = Runner(sdk, file.outputs, job.params)
        pairs = [(network(samples.inputs, one), on_board(one)) for one in samples.arrays()]
    save(job.out, pairs, "board", Tail(job.inputs).divided)
