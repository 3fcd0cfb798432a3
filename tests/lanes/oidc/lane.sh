#!/usr/bin/env bash
# Sign-in at a real OpenID provider, in a real browser. Needs Node 20.19 or newer, OpenSSL and Chromium.
set -euo pipefail
cd "$(dirname "$0")/../../.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}"
cache="$HOME/.cache/kizashi/oidc"

command -v node >/dev/null || { echo "node is missing: install Node 20.19 or newer from https://nodejs.org" >&2; exit 1; }
mkdir -p "$cache"
cp tests/lanes/oidc/package.json tests/lanes/oidc/package-lock.json "$cache"
npm ci --prefix "$cache" --no-audit --no-fund --loglevel error
npm ci --prefix tests/lanes/portal --no-audit --no-fund --loglevel error
if [ -z "${KIZASHI_BINARY:-}" ]; then
    ${CARGO:-cargo} build --workspace --bin kizashi
    KIZASHI_BINARY="$(realpath "$CARGO_TARGET_DIR")/debug/kizashi"
fi
KIZASHI_BINARY="$KIZASHI_BINARY" node tests/lanes/oidc/drive.mjs
