#!/bin/sh
# librdkafka also compiles a C++ binding. Nothing here links it, and a fresh machine may have a C compiler only: there the
# objects of that binding are empty.
if command -v c++ >/dev/null; then
    exec c++ "$@"
fi
object='' compiles=''
for argument in "$@"; do
    [ "$object" = next ] && object=$argument
    case $argument in
        -o) object=next ;;
        -c) compiles=yes ;;
    esac
done
if [ -n "$compiles" ] && [ -n "$object" ]; then
    exec cc -fPIC -x c -c /dev/null -o "$object"
fi
# What is left links, or asks for the version.
exec cc "$@"
