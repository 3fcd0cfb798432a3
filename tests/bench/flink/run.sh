#!/usr/bin/env bash
# The peer of "Kafka to committed Parquet": Apache Flink reads all that is on a topic of check results and writes check_results
# and samples as Parquet. Prints one line of figures, of the last run in one JVM; what else it has to say goes to stderr.
#   tests/bench/flink/run.sh BOOTSTRAP TOPIC OUTPUT_FOLDER
# KIZASHI_FLINK_WARM_UPS: how many runs before the measured one (3: after one, the JIT still takes a sixth of a million records' CPU).
# KIZASHI_FLINK_JAVA: more options of java.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/kizashi/flink"
[ $# = 3 ] || { echo "usage: run.sh BOOTSTRAP TOPIC OUTPUT_FOLDER" >&2; exit 2; }
bootstrap="$1" topic="$2" output="$3"
[ -z "$(ls -A "$output" 2>/dev/null)" ] || { echo "$output is not empty" >&2; exit 2; }

need() {
    command -v "$1" >/dev/null || { echo "this benchmark needs $1: $2" >&2; exit 1; }
}
need java "install a Java 17 runtime (Debian: apt-get install openjdk-17-jdk-headless)"

digest() { cat "$@" | sha256sum | cut -c1-16; }
jars="$cache/jars-$(digest "$here/pom.xml")"
classes="$cache/classes-$(digest "$here/pom.xml" "$here"/src/kizashi/peer/*.java)"

if [ ! -f "$jars/complete" ]; then
    need mvn "it fetches Flink's jars from Maven Central (Debian: apt-get install maven)"
    echo "fetching Flink into $cache" >&2
    rm -rf "$cache"/jars-* && mkdir -p "$jars"
    cp "$here/pom.xml" "$jars/pom.xml"
    (cd "$jars" && mvn -q -B -Dmaven.repo.local="$cache/m2" -DincludeScope=runtime -Dmdep.outputFile="$jars/classpath" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath) >&2
    touch "$jars/complete"
fi
if [ ! -f "$classes/complete" ]; then
    need javac "install a JDK (Debian: apt-get install openjdk-17-jdk-headless)"
    rm -rf "$cache"/classes-* && mkdir -p "$classes"
    javac --release 17 -nowarn -XDsuppressNotes -cp "$(cat "$jars/classpath")" -d "$classes" "$here"/src/kizashi/peer/*.java >&2
    touch "$classes/complete"
fi

scratch="$(mktemp -d "${TMPDIR:-/tmp}/kizashi-flink.XXXXXX")"
trap 'rm -rf "$scratch"' EXIT
# shellcheck disable=SC2086  # options, between blanks
java -XX:+UseSerialGC -Xms3g -Xmx3g -Xmn2g -XX:+AlwaysPreTouch -Djava.io.tmpdir="$scratch" -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
    --add-opens=java.base/java.lang=ALL-UNNAMED --add-opens=java.base/java.util=ALL-UNNAMED \
    ${KIZASHI_FLINK_JAVA:-} -cp "$classes:$(cat "$jars/classpath")" \
    kizashi.peer.Peer "$bootstrap" "$topic" "$output" "$scratch" "${KIZASHI_FLINK_WARM_UPS:-3}"
