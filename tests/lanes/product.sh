# Sourced by lanes that ask a running product: starts one with a failing check, a recording and tickets, in a folder of its
# own. Sets URL, TOKEN and HOME_OF_PRODUCT; the product ends with the lane.
if [ -z "${KIZASHI_BINARY:-}" ]; then
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}"
    ${CARGO:-cargo} build --workspace --bin kizashi
    KIZASHI_BINARY="$(realpath "$CARGO_TARGET_DIR")/debug/kizashi"
fi
TOKEN=a-token-for-the-lanes-0123456789
HOME_OF_PRODUCT="$(mktemp -d "${TMPDIR:-/tmp}/kizashi-lane-XXXXXX")"
cat >"$HOME_OF_PRODUCT/kizashi.toml" <<'TOML'
[host]
enabled = false
[[check]]
id = "web:shop"
interval = "2s"
retry_interval = "1s"
timeout = "900ms"
attempts = 1
process = { name = "no-such-process-here", min = 1 }
[[check]]
id = "load"
interval = "2s"
retry_interval = "1s"
timeout = "900ms"
tenant = "aozora"
cpu = {}
TOML
(cd "$HOME_OF_PRODUCT" && KIZASHI_ADMIN_TOKEN="$TOKEN" KIZASHI_ADMIN_PASSWORD='a password for the lanes' \
    exec "$KIZASHI_BINARY" up --listen 127.0.0.1:0) >"$HOME_OF_PRODUCT/said" 2>"$HOME_OF_PRODUCT/log" &
PRODUCT=$!
end_product() {
    kill "$PRODUCT" 2>/dev/null || true
    wait "$PRODUCT" 2>/dev/null || true
    rm -rf "$HOME_OF_PRODUCT"
}
trap end_product EXIT
# Waits, for 60 s at most, until a command succeeds.
until_it_does() {
    local tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$PRODUCT" 2>/dev/null; then
            echo "waited in vain for: $*" >&2
            cat "$HOME_OF_PRODUCT/said" "$HOME_OF_PRODUCT/log" >&2
            exit 1
        fi
        read -rt 0.2 <> <(:) || true
    done
}
says_where() { grep -q '^  portal' "$HOME_OF_PRODUCT/said"; }
until_it_does says_where
URL="$(sed -n 's|^  portal *\(.*\)/$|\1|p' "$HOME_OF_PRODUCT/said")"
until_it_does curl -fsS "$URL/readyz"
has_a_ticket() { curl -fsS -H "authorization: Bearer $TOKEN" "$URL/api/v1/tickets" | grep -q '"number"'; }
until_it_does has_a_ticket
