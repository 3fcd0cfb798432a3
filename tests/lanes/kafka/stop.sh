#!/usr/bin/env bash
# Stops the broker that start.sh started. Usage: stop.sh FOLDER [--keep]; without --keep its folder is removed.
set -euo pipefail

folder="$1"
pid="$(cat "$folder/pid")"
kill "$pid" 2>/dev/null || true
for _ in $(seq 1 300); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
done
kill -9 "$pid" 2>/dev/null || true
[ "${2:-}" = --keep ] || rm -rf "$folder"
