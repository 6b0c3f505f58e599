"""Started in a toolchain by pipelines.run.worker: finds the project's code, and serves its jobs.

As short as it can be: Python keeps no bytecode of what it is started with.
"""

import json
import sys

settings = json.loads(sys.argv[1])
sys.path[:] = [*settings["paths"], *sys.path[1:]]  # [0] is this file's folder

from pipelines.run.job_server import main  # noqa: E402 - found where that says

main(settings["preload"])
