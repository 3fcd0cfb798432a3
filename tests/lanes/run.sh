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

file_systems() {
    if [ "$(id -u)" = 0 ]; then
        cargo test --workspace --test scenarios -- --ignored --nocapture file_systems::
    elif [ "${CI:-}" = true ]; then
        echo "this lane mounts small file systems, which takes root" >&2
        return 1
    else
        echo "SKIPPED: mounting small file systems takes root" >&2
    fi
}

lane fresh-machine tests/lanes/fresh_machine.sh
lane file-systems file_systems
lane kafka tests/lanes/kafka/run.sh
lane readers tests/lanes/readers/lane.sh
lane portal tests/lanes/portal/lane.sh
lane sql tests/lanes/sql/lane.sh
lane oidc tests/lanes/oidc/lane.sh
lane client tests/lanes/client/lane.sh
lane schemathesis tests/lanes/schemathesis/lane.sh
