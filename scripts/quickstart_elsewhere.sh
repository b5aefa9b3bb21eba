#!/usr/bin/env bash
# The quickstart in a copy of this working tree, with the environment of this one: `quickstart_elsewhere.sh FOLDER`.
# FOLDER is created. What it prints is kept in FOLDER/quickstart.txt, to be compared with README's table.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
there=$(cd "$1" && pwd)

tar -C "$here" -c --exclude-vcs --exclude=./.venv --exclude=./runs --exclude='./.*_cache' --exclude=./.hypothesis --exclude=__pycache__ . |
    tar -C "$there" -x --no-same-owner
ln -sfn "$here/.venv" "$there/.venv"
cd "$there"
# The environment's packages are those of the tree that it was made for; here the copy's come first.
export PYTHONPATH="$there"
make quickstart | tee quickstart.txt
