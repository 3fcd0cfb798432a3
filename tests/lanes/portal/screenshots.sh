#!/usr/bin/env bash
# Pictures of every page in both languages and both themes, on a desk, a phone and in 4K: screenshots.sh FOLDER [LOOK,…]
set -euo pipefail
folder="$(realpath -m "${1:?usage: $0 FOLDER [LOOK,…]}")"
cd "$(dirname "$0")/../../.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
npm ci --prefix tests/lanes/portal --no-audit --no-fund --loglevel error
if [ -z "${KIZASHI_PORTAL_URL:-}${KIZASHI_BINARY:-}" ]; then
    ${CARGO:-cargo} build --workspace --bin kizashi
    export KIZASHI_BINARY="$CARGO_TARGET_DIR/debug/kizashi"
fi
node tests/lanes/portal/shots.mjs "$folder" "${@:2}"
