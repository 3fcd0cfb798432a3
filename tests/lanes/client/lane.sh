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
echo 'post_hooks: []' >"$HOME_OF_PRODUCT/generator.yml"
# Pictures and the figures of /metrics are not JSON, for which this generator makes no code; everything else it must understand.
"$venv/bin/openapi-python-client" generate --path "$HOME_OF_PRODUCT/openapi.json" --output-path "$HOME_OF_PRODUCT/client" \
    --meta none --config "$HOME_OF_PRODUCT/generator.yml" >"$HOME_OF_PRODUCT/generated" 2>&1
if grep -A2 -E '^(WARNING|ERROR)' "$HOME_OF_PRODUCT/generated" | grep -vE '^(WARNING parsing GET /(metrics|icon.svg) |Cannot parse response .*(openmetrics|image/svg)|--|$)'; then
    cat "$HOME_OF_PRODUCT/generated" >&2
    exit 1
fi
PYTHONPATH="$HOME_OF_PRODUCT" "$venv/bin/python" tests/lanes/client/use.py "$URL" "$TOKEN"
