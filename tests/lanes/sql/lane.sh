#!/usr/bin/env bash
# SQL from the tools that people use, each the real one, against a running product: psql, psycopg, SQLAlchemy, pandas, the
# JDBC driver, ADBC over Flight SQL. Needs Python 3.11 or newer and Java 17; psql comes with the package postgresql-client.
set -euo pipefail
cd "$(dirname "$0")/../../.."
lane=tests/lanes/sql
cache="${KIZASHI_LANES_CACHE:-$HOME/.cache/kizashi}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}"

if ! command -v psql >/dev/null; then
    [ "$(id -u)" = 0 ] || { echo "psql is missing: install the package postgresql-client" >&2; exit 1; }
    apt-get install -y -qq postgresql-client >/dev/null
fi
venv="$cache/venv-sql"
if ! "$venv/bin/python" -c 'import psycopg, sqlalchemy, pandas, adbc_driver_flightsql, pyarrow' 2>/dev/null; then
    echo "installing the Python clients into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'psycopg[binary]>=3.2,<4' 'sqlalchemy>=2,<3' 'pandas>=2' \
        'adbc-driver-flightsql>=1.8,<2' pyarrow
fi
jdbc="$cache/postgresql-42.7.8.jar"
if [ ! -s "$jdbc" ]; then
    (cd "$(mktemp -d)" && mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
        -Dartifact=org.postgresql:postgresql:42.7.8 -DoutputDirectory="$cache")
fi

if [ -z "${KIZASHI_BINARY:-}" ]; then
    ${CARGO:-cargo} build --workspace --bin kizashi
    KIZASHI_BINARY="$(realpath "$CARGO_TARGET_DIR")/debug/kizashi"
fi
export KIZASHI_BINARY KIZASHI_JDBC="$jdbc" PYTHONDONTWRITEBYTECODE=1
exec "$venv/bin/python" "$lane/drive.py"
