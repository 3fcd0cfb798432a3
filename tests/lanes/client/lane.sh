#!/usr/bin/env bash
# A client generated from the product's OpenAPI document, used against the product: it lists checks, works a ticket and runs
# SQL. Needs Python 3.10 or newer.
set -euo pipefail
cd "$(dirname "$0")/../../.."
venv="$HOME/.cache/kizashi/venv-client"
[ -x "$venv/bin/openapi-python-client" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q -r tests/lanes/client/requirements.txt; }
# shellcheck source=tests/lanes/product.sh
. tests/lanes/product.sh

curl -fsS "$URL/openapi.json" -o "$HOME_OF_PRODUCT/openapi.json"
# `--fail-on-warning`: every operation and every schema of the document must be understood.
"$venv/bin/openapi-python-client" generate --path "$HOME_OF_PRODUCT/openapi.json" --output-path "$HOME_OF_PRODUCT/client" \
    --meta none --fail-on-warning
PYTHONPATH="$HOME_OF_PRODUCT" "$venv/bin/python" tests/lanes/client/use.py "$URL" "$TOKEN"
