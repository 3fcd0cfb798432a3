#!/usr/bin/env bash
# Reads a lake with the python packages deltalake and duckdb and compares what they find: run.sh LAKE [EXPECTED.json]
# EXPECTED says {"table": {"rows": n, "column": "c", "sum": x}}; without it LAKE/expected.json is used if it is there.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
venv="${KIZASHI_READERS_VENV:-$HOME/.cache/kizashi/venv-readers}"
[ $# -ge 1 ] || { echo "usage: $0 LAKE [EXPECTED.json]" >&2; exit 2; }

if ! "$venv/bin/python" -c 'import deltalake, duckdb, pyarrow' 2>/dev/null; then
    echo "installing deltalake, duckdb and pyarrow into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'deltalake>=1,<2' 'duckdb>=1' pyarrow
fi
exec "$venv/bin/python" "$here/compare.py" "$@"
