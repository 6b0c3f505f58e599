#!/usr/bin/env bash
# dvc 3.67.1, Python 3.10-3.12, 2026-11-28.
#
# A metric named `error`, at any depth of a valid metrics file, makes `dvc metrics show` say that it failed
# to load metrics of that revision, although it loaded and shows them all, and exits with 0. The sentence
# goes to stderr. The same file with the key `mistake` is shown without it.
#
# Seen:
#   DVC failed to load some metrics for following revisions: ''.
#   {"": {"data": {"metrics.json": {"data": {"top1": 0.9, "head": {"error": 0.1}}}}}}
#   exit 0
#
# Why: the command looks for any key `error` in what it is about to print (dvc/utils, errored_revisions), and
# that holds the user's own keys too. A script that takes the sentence for a failure throws good figures away.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dvc==3.67.1
export PATH="$folder/venv/bin:$PATH" DVC_NO_ANALYTICS=1 HOME="$folder"
mkdir "$folder/repo"
cd "$folder/repo"
git init --quiet
dvc init --quiet
printf 'metrics:\n- metrics.json\n' > dvc.yaml

show() {
    printf '{"top1": 0.9, "head": {"%s": 0.1}}\n' "$1" > metrics.json
    dvc metrics show --json > out.json 2> err.txt   # set -e: both exit with 0
    echo "key $1:"
    cat err.txt out.json
    python3 -c 'import json, sys
found = json.load(open("out.json"))[""]["data"]["metrics.json"]["data"]
assert found == {"top1": 0.9, "head": {sys.argv[1]: 0.1}}, found' "$1"
}

show error
grep -q "DVC failed to load some metrics" err.txt
show mistake
if grep -q "failed to load" err.txt; then exit 1; fi
echo "as told: loaded and shown in full, and said to have failed for the key error alone"
