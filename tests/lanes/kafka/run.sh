#!/usr/bin/env bash
# On a real broker: the relay's conformance suite with TLS, a broker restart and a disk that is really full, then the crash test.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cd "$here/../../.."
cargo="${KIZASHI_CARGO:-cargo}"

started="$(KIZASHI_KAFKA_TLS=1 "$here/start.sh")"
value() { sed -n "s/^$1=//p" <<< "$started"; }
folder="$(value folder)"
trap '"$here/stop.sh" "$folder"' EXIT
export KIZASHI_KAFKA KIZASHI_KAFKA_FOLDER="$folder" KIZASHI_KAFKA_SECURE KIZASHI_KAFKA_CA
KIZASHI_KAFKA="$(value bootstrap)" KIZASHI_KAFKA_SECURE="$(value secure)" KIZASHI_KAFKA_CA="$(value ca)"

# With TLS, which only what ships is built with; everything else here shares the build of `cargo test --workspace`.
suite() { "$cargo" test --workspace --features kafka-tls --test conformance -- --ignored "$@"; }
restart=kafka::a_broker_that_restarts_in_the_middle_loses_and_repeats_nothing
suite kafka:: --skip "$restart"
suite --exact "$restart"
if [ "$(id -u)" = 0 ]; then
    suite full_disk::
else
    echo "SKIPPED: full_disk needs root to mount a small file system" >&2
fi
scenario() { "$cargo" test --workspace --test scenarios -- --nocapture "$@"; }
scenario --ignored kafka::what_does_not_decode
scenario --ignored kafka::a_broker_that_is_away
scenario crash::
