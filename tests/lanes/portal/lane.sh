#!/usr/bin/env bash
# The portal: its sources are sound, what is committed in dashboards/dist is what they build, and it does in a real browser,
# against a running product, what people do with it. Needs Node 20.19 or newer and Chromium.
set -euo pipefail
cd "$(dirname "$0")/../../.."
lane=tests/lanes/portal
app=dashboards/app
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}"

command -v node >/dev/null || { echo "node is missing: install Node 20.19 or newer from https://nodejs.org" >&2; exit 1; }
for folder in "$app" "$lane"; do
    npm ci --prefix "$folder" --no-audit --no-fund --loglevel error
done

npm run --silent --prefix "$app" check
npm run --silent --prefix "$app" test

echo "dashboards/dist is what dashboards/app builds"
built="$(mktemp -d)"
checked="$(mktemp -d)"
trap 'rm -rf "$built" "$checked"' EXIT
npm run --silent --prefix "$app" build -- --outDir "$built" --emptyOutDir --logLevel error
# The compressed copies are compared by what they hold: another Node may compress otherwise.
find "$built" dashboards/dist -name '*.gz' -print0 | while IFS= read -r -d '' file; do
    cmp "${file%.gz}" <(gzip -dc "$file") || { echo "$file is not ${file%.gz}: run npm run build in $app" >&2; exit 1; }
done
diff -r --exclude='*.gz' "$built" dashboards/dist || { echo "run npm run build in $app and commit dashboards/dist" >&2; exit 1; }
diff <(cd "$built" && find . | sort) <(cd dashboards/dist && find . | sort)

node "$lane/load.mjs"

if [ -z "${KIZASHI_BINARY:-}" ]; then
    ${CARGO:-cargo} build --workspace --bin kizashi
    KIZASHI_BINARY="$(realpath "$CARGO_TARGET_DIR")/debug/kizashi"
fi
export KIZASHI_BINARY
export KIZASHI_DOCUMENT="$checked/openapi.json"
node "$lane/drive.mjs"

echo "what the portal asks for and reads fits the product's OpenAPI document"
cp -r "$app"/{src,build,package.json,tsconfig.json,svelte.config.js,vite.config.ts} "$checked"
ln -s "$PWD/$app/node_modules" "$checked/node_modules"
(cd "$checked" && npx --no-install openapi-typescript openapi.json -o src/api/schema.d.ts >/dev/null && npm run --silent check)
