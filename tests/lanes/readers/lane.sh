#!/usr/bin/env bash
# The lane: writes a lake with checkpoints and merged files, and has other readers compare it with what went in.
set -euo pipefail
cd "$(dirname "$0")/../../.."
lake="$(mktemp -d)"
trap 'rm -rf "$lake"' EXIT
KIZASHI_READERS_LAKE="$lake" ${CARGO:-cargo} test -q --workspace --test lake -- readers::
tests/lanes/readers/run.sh "$lake"
