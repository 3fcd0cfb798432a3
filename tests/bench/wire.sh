#!/usr/bin/env bash
# SQL over the PostgreSQL wire and Flight SQL beside a PostgreSQL server, in one run: latency of SELECT 1, and rows per CPU-second
# of the server for a large result. Needs a PostgreSQL server (initdb, pg_ctl), and what tests/lanes/sql needs.
#   tests/bench/wire.sh [ROWS]      KIZASHI_BINARY names a release build
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${KIZASHI_BINARY:?set it to a release build of kizashi}"
venv="${KIZASHI_LANES_CACHE:-$HOME/.cache/kizashi}/venv-sql"
[ -x "$venv/bin/python" ] || { echo "run tests/lanes/sql/lane.sh once: it installs the Python clients" >&2; exit 1; }
PYTHONPATH=tests/lanes/sql PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" tests/bench/wire.py "${1:-1000000}"
