"""Names of the commands of ./doit, which no model or target may have."""

from __future__ import annotations

from collections.abc import Mapping

# What ./doit --help says of each, in its order.
PURPOSES: Mapping[str, str] = {
    "new": "a recipe of a file, built at once: new NAME FILE",
    "why": "what made a step stale",
    "tune": "which few layers to compute in float16",
    "doctor": "where a build's bytes are, and what makes it smaller",
    "infer": "run files through the float model and the built one",
    "inspect": "what .rknn files hold",
    "runtime": "load an .rknn with the vendor's runtime, no board",
    "handoff": "a folder for the board's programmer",
    "release": "hand a model out as one archive; list, check",
    "verify": "build again with no cache, and compare every digest",
    "which": "the model, commit and release a file comes from",
    "quantize": "one .onnx or .tflite to int8, without a recipe",
    "diff": "two builds side by side, worst first",
    "upgrade": "other toolkits for all models: who gains, who breaks",
    "report": "pages to look at: one a model, and an index",
    "table": "accuracy of the fixed_point targets",
    "list": "the models and targets; --all: the steps too",
    "info": "what a step is, reads and makes",
    "plan": "the steps; writes every dvc.yaml anew",
    "clean": "remove what was built; --dry-run: tell what that is",
    "forget": "drop what is recorded, so that the steps run again",
    "toolchains": "list or make the pinned environments",
    "step": "one step alone; what `dvc repro` calls",
    "test": "the test suite, on every core",
    "help": "this, or what a command takes: ./doit help COMMAND",
}
# doit's own, and one that was ours.
_OTHERS = frozenset(
    ("run", "list", "help", "dumpdb", "ignore", "reset-dep", "schema", "strace", "tabcompletion")
)
OWN = frozenset(PURPOSES) - _OTHERS
COMMANDS = frozenset(PURPOSES) | _OTHERS
