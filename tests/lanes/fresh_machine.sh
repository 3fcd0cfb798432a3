#!/usr/bin/env bash
# Whatever of the product is not Rust builds with a C compiler and make: no C++ compiler, cmake, Perl, Python or pkg-config.
# The rest is Rust, which needs only a linker.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/bin"
# What a machine without any developer's tools has, then cc with its linker and make, then Rust.
base=(sh bash dash sed grep egrep fgrep gawk mawk awk tar gzip find xargs cmp diff which hostname id install)
coreutils=(cat cp mv rm ln ls mkdir rmdir echo printf tr cut sort uniq head tail wc touch chmod date uname test '[' expr
    basename dirname env tee mktemp pwd true false sleep readlink sync od dd stat nproc)
compiler=(cc gcc ld ar as ranlib nm strip objcopy objdump make)
for tool in "${base[@]}" "${coreutils[@]}" "${compiler[@]}" cargo rustc; do
    found="$(type -P "$tool")" && ln -s "$found" "$folder/bin/$tool"
done
for tool in c++ g++ clang++ cmake perl python3 pkg-config protoc; do
    if env -i PATH="$folder/bin" sh -c "command -v $tool" >/dev/null; then
        echo "$tool is still to be found: this lane would prove nothing" >&2
        exit 1
    fi
done

# A dependency that builds something native says so by `links`, or by asking for a C compiler.
mapfile -t native < <(cargo metadata --format-version 1 --locked |
    python3 -c 'import json, sys
of = json.load(sys.stdin)
print("\n".join(sorted("{name}@{version}".format(**p) for p in of["packages"]
    if p["links"] or any(d["name"] == "cc" for d in p["dependencies"]))))')
mapfile -t built < <(cargo tree --workspace --locked -e normal --prefix none -f '{p}' | awk '{ sub("^v", "", $2); print $1 "@" $2 }' | sort -u)
chosen=()
for package in "${native[@]}"; do
    if printf '%s\n' "${built[@]}" | grep -qx -- "$package"; then
        chosen+=(-p "$package")
    fi
done
[ "${#chosen[@]}" -ge 8 ] || { echo "only ${chosen[*]} are native: this lane looks at the wrong thing" >&2; exit 1; }
env -i HOME="$HOME" PATH="$folder/bin" ${RUSTUP_HOME:+RUSTUP_HOME="$RUSTUP_HOME"} ${CARGO_HOME:+CARGO_HOME="$CARGO_HOME"} \
    CARGO_TARGET_DIR="$folder/target" CARGO_TERM_COLOR=never cargo build --locked "${chosen[@]}"
