#!/usr/bin/env bash
# Starts one Kafka broker (KRaft) on free loopback ports with its data in a new temporary folder.
# Usage: start.sh [FOLDER]. Prints "bootstrap=HOST:PORT", "folder=..." and, with TLS on, the other listeners.
# Give FOLDER of an earlier start to start the same broker again: same ports, same data.
# KIZASHI_KAFKA_TLS=1 adds a SASL_SSL listener (PLAIN and SCRAM-SHA-512, user kizashi, password secret) with a CA of its own.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
version=4.1.0
cache="${XDG_CACHE_HOME:-$HOME/.cache}/kizashi/kafka/$version"

need() {
    command -v "$1" >/dev/null || { echo "this lane needs $1: $2" >&2; exit 1; }
}
need java "install a Java 17 or newer runtime (Debian: apt-get install default-jdk-headless)"
need python3 "it picks free ports (Debian: apt-get install python3)"

jars() {
    [ -f "$cache/complete" ] && return
    need mvn "it fetches Kafka's jars from Maven Central (Debian: apt-get install maven)"
    echo "fetching Kafka $version into $cache" >&2
    mkdir -p "$cache"
    sed "s/KAFKA_VERSION/$version/" "$here/pom.xml" > "$cache/pom.xml"
    (cd "$cache" && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=lib) >&2
    touch "$cache/complete"
}

configure() {
    local ports
    read -r -a ports < <(python3 - <<'PY'
import socket
held = [socket.socket() for _ in range(3)]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in held])
PY
    )
    local plain="${ports[0]}" controller="${ports[1]}" secure="${ports[2]}"
    local listeners="PLAINTEXT://127.0.0.1:$plain"
    local map="PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
    if [ -n "${KIZASHI_KAFKA_TLS:-}" ]; then
        "$here/certificates.sh" "$folder"
        listeners="$listeners,SECURE://127.0.0.1:$secure"
        map="$map,SECURE:SASL_SSL"
    fi
    cat > "$folder/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=$listeners,CONTROLLER://127.0.0.1:$controller
advertised.listeners=$listeners
listener.security.protocol.map=$map
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$folder/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=20000000
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
file.delete.delay.ms=0
PROPERTIES
    if [ -n "${KIZASHI_KAFKA_TLS:-}" ]; then
        cat >> "$folder/server.properties" <<PROPERTIES
listener.name.secure.ssl.keystore.type=PKCS12
listener.name.secure.ssl.keystore.location=$folder/server.p12
listener.name.secure.ssl.keystore.password=changeit
listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_kizashi="secret";
listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
PROPERTIES
    fi
    local id
    id="$(java -cp "$cache/lib/*" kafka.tools.StorageTool random-uuid)"
    java -cp "$cache/lib/*" kafka.tools.StorageTool format -t "$id" -c "$folder/server.properties" \
        --add-scram 'SCRAM-SHA-512=[name=kizashi,password=secret]' > "$folder/format.log" 2>&1 \
        || { cat "$folder/format.log" >&2; exit 1; }
    { echo "bootstrap=127.0.0.1:$plain"; echo "folder=$folder"; } > "$folder/lane.env"
    if [ -n "${KIZASHI_KAFKA_TLS:-}" ]; then
        { echo "secure=127.0.0.1:$secure"; echo "ca=$folder/ca.pem"; } >> "$folder/lane.env"
    fi
}

run() {
    java -Xmx512m -cp "$cache/lib/*" kafka.Kafka "$folder/server.properties" > "$folder/broker.log" 2>&1 &
    echo $! > "$folder/pid"
    for _ in $(seq 1 600); do
        grep -q "Kafka Server started" "$folder/broker.log" && return
        kill -0 "$(cat "$folder/pid")" 2>/dev/null || break
        sleep 0.1
    done
    echo "the broker did not start; its last words:" >&2
    tail -20 "$folder/broker.log" >&2
    kill -9 "$(cat "$folder/pid")" 2>/dev/null || true
    exit 1
}

jars
folder="${1:-}"
if [ -z "$folder" ]; then
    folder="$(mktemp -d "${TMPDIR:-/tmp}/kizashi-kafka.XXXXXX")"
    configure
fi
run
cat "$folder/lane.env"
