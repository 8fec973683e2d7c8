#!/bin/sh
# SPDX-License-Identifier: MIT
# What is resident in memory: of a worker while its job runs, of a server with one task.   sh tests/resident.sh BINARY
lt=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
dir=$(mktemp -d) && cd "$dir" || exit 2
"$lt" submit -- --n 1 >id 2>err || exit 1
mkfifo hold
"$lt" loop --no-use-pty --stdin -- sh -c 'echo $PPID >pid; cat; : %(n)' <hold >out 2>err &
exec 3>hold
until [ -s pid ]; do sleep 0.05; done
resident() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$1/status"; }
worker=$(resident "$(cat pid)")
server=$(resident "$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' .labtasker/owner)")
exec 3>&-
wait
kill "$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' .labtasker/owner)"
cd / && rm -rf "$dir"
echo "resident: worker $worker KiB, server $server KiB"
[ "$worker" -le 1024 ] && [ "$server" -le 4096 ]
