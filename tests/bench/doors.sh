#!/usr/bin/env bash
# What a browser waits for with 10,000 checks, quiet and during ingest at full speed: the alert page and its data, API reads, a
# change on its way to the screen, and what 200 event streams cost. Starts a Kafka broker of its own; needs what
# tests/lanes/kafka and tests/lanes/portal need. KIZASHI_BINARY names another build to measure.
set -euo pipefail
cd "$(dirname "$0")/../.."
npm ci --prefix tests/lanes/portal --no-audit --no-fund --loglevel error
started="$(tests/lanes/kafka/start.sh)"
trap 'tests/lanes/kafka/stop.sh "$(sed -n s/^folder=//p <<<"$started")"' EXIT
KIZASHI_KAFKA="$(sed -n s/^bootstrap=//p <<<"$started")" ${CARGO:-cargo} bench --bench product -- doors
