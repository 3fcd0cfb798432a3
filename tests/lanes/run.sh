#!/usr/bin/env bash
# The lanes: real parts that `cargo test` alone does without. Each lane installs what it needs, under ~/.cache/kizashi.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}"

lane() {
    echo "== lane $1 ($(date -u +%H:%M:%S))"
    shift
    "$@"
}

lane kafka tests/lanes/kafka/run.sh
lane readers tests/lanes/readers/lane.sh
