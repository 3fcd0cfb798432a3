#!/usr/bin/env bash
# Has every reader read a lake and compares what they find: run.sh LAKE [EXPECTED.json]. The readers are Delta Kernel on the
# JVM and, in Python, deltalake, duckdb and polars; they are installed under ~/.cache/kizashi.
# EXPECTED says {"table": {"rows": n, "column": "c", "sum": x}}; without it LAKE/expected.json is used if it is there.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cache="${KIZASHI_LANES_CACHE:-$HOME/.cache/kizashi}"
venv="${KIZASHI_READERS_VENV:-$cache/venv-readers}"
jvm="$cache/readers-jvm"
[ $# -ge 1 ] || { echo "usage: $0 LAKE [EXPECTED.json]" >&2; exit 2; }

need() {
    command -v "$1" >/dev/null || { echo "this lane needs $1: $2" >&2; exit 1; }
}
need java "install a Java 17 or newer runtime (Debian: apt-get install default-jdk-headless)"

# The marker says what was built, so that a change of the program or of a version is built again.
build() {
    local sources
    sources="$(cat "$here"/jvm/* | sha256sum)"
    [ "$(cat "$jvm/complete" 2>/dev/null)" != "$sources" ] || return 0
    need javac "install a Java 17 or newer JDK (Debian: apt-get install default-jdk-headless)"
    need mvn "it fetches Delta Kernel's jars from Maven Central (Debian: apt-get install maven)"
    echo "fetching Delta Kernel and compiling its reader into $jvm" >&2
    rm -rf "$jvm"
    mkdir -p "$jvm"
    cp "$here/jvm/pom.xml" "$jvm"
    (cd "$jvm" && mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory=lib) >&2
    javac --release 17 -Xlint:-options -cp "$jvm/lib/*" -d "$jvm/classes" "$here"/jvm/*.java
    echo "$sources" > "$jvm/complete"
}

if ! "$venv/bin/python" -c 'import deltalake, duckdb, polars, pyarrow' 2>/dev/null; then
    echo "installing deltalake, duckdb, polars and pyarrow into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'deltalake>=1,<2' 'duckdb>=1' 'polars>=2,<3' pyarrow
fi
build
# Nothing that the kernel reads is taken from Python, and the other way round: compare.py reads the kernel's lines.
java -Xmx1g -cp "$jvm/classes:$jvm/lib/*" ReadLake "$1" | PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" "$here/compare.py" "$@"
