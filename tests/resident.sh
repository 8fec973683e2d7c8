#!/bin/sh
# SPDX-License-Identifier: MIT
# What is resident in memory: of a worker while its job runs, of a server with one task.   sh tests/resident.sh BINARY
LABTASKER=${1:-./labtasker}
. tests/lib.sh
place one
resident() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$1/status"; }
ok "a task" status 0 "$lt" submit -- --n 1
mkfifo hold
"$lt" loop --no-use-pty --stdin -- sh -c 'echo $PPID >pid; cat; : %(n)' <hold >out 2>err &
exec 3>hold
await test -s pid
worker=$(resident "$(cat pid)")
server=$(resident "$(owner)")
exec 3>&-
wait
echo "worker $worker KiB, server $server KiB"
ok "a worker takes 1 MiB at most" test "$worker" -le 1024
ok "a server 4 MiB" test "$server" -le 4096
