#!/bin/sh
# SPDX-License-Identifier: MIT
# The worker under stress: thousands of jobs that leave children behind, thousands of terminals, signals without end, a server that is
# gone, a full disk, no terminal, no descriptors, nothing but itself in the file system.  Linux, for /proc tells what is counted.
#   sh tests/stress.sh [LABTASKER]     JOBS=500 PTYS=1000 GONE=10 (seconds); make stress has the full counts
# As root also a full disk, no terminals, and PID 1 of an empty chroot, with a static binary that is made here.
LABTASKER=${1:-./labtasker}
cd "$(dirname "$0")/.." || exit 2
. tests/lib.sh
JOBS=${JOBS:-500} PTYS=${PTYS:-1000} GONE=${GONE:-10}
CC=${CC:-c99}

# breed TEXT: three children (one keeps the output open, one has let go of it, one becomes a daemon for a second), then TEXT and
# the end.  breed storm PID FILE: signals to PID, some thousand a second, until FILE is gone.
cat >"$base/breed.c" <<'C'
#define _XOPEN_SOURCE 600
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int
storm(pid_t pid, const char *file)
{
	static const int sigs[] = {SIGALRM, SIGCHLD, 28};   /* the last is SIGWINCH */
	struct timespec t = {0, 300000};

	for (long n = 0; !access(file, F_OK); n++) {
		kill(pid, sigs[n % 3]);
		nanosleep(&t, NULL);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "storm"))
		return storm((pid_t)atol(argv[2]), argv[3]);
	for (int i = 0; i < 3; i++) {
		if (fork())
			continue;
		if (i)
			for (int fd = 0; fd < 3; fd++)
				close(fd);
		if (i == 2 && !fork()) {
			setsid();
			sleep(1);
		} else if (i < 2) {
			sleep(1000);
		}
		_exit(0);
	}
	puts(argc > 1 ? argv[1] : "");
	return 0;
}
C
$CC -O2 -o "$base/breed" "$base/breed.c" || exit 2

# fill N: N tasks; serving: a server that no worker starts again, at the port that it had before.
fill() {
	i=0
	while [ $i -lt "$1" ]; do echo "{\"n\": $i}"; i=$((i + 1)); done >tasks
	"$lt" submit --from tasks >/dev/null 2>&1
}
serving() {
	"$lt" serve --host 127.0.0.1 --port "${port:-0}" --store store 2>>serve.err &
	server=$!
	await grep -qs "\"pid\": *$server[,}]" store/server.json
	port=$(sed -n 's/.*"url": *"[^"]*:\([0-9]*\)".*/\1/p' store/server.json)
}
uncharged() { [ "$("$lt" task ls --no-pager --fmt jsonl | grep -o '"retries": *[0-9]*' | sort -u)" = '"retries":0' ]; }
rss() { sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$1/status"; }
fds() { ls "/proc/$1/fd" | wc -l; }
children() { for c in $(cat /proc/$1/task/$1/children); do sed -n 's/^State:.\(.\).*/\1/p' /proc/$c/status; done; }
ran() { [ "$(count success)" -ge "$1" ]; }

place brood
fill $JOBS
begin "$lt" loop --wait -- "$base/breed" '%(n)'
loop=$!
await ran 50
fd=$(fds $loop) kib=$(rss $loop)
n=0
until ran $JOBS || [ $n -ge 600 ]; do sleep 1; n=$((n + 1)); done
ok "$JOBS jobs with three children each" same "$(count success)" "$JOBS"
ok "each was heard, in order" same "$(cksum <out)" "$(seq 0 $((JOBS - 1)) | cksum)"
echo "stress.sh: descriptors $fd, then $(fds $loop); KiB of memory $kib, then $(rss $loop)"
ok "no descriptor is left" test "$(fds $loop)" -le "$fd"
ok "memory is flat" test "$(rss $loop)" -le $((kib + 256))
only_guard() { [ "$(children $loop)" = S ]; }
ok "no child is left but the guard, no zombie" await only_guard
ok "and nothing that they started" await sh -c '! pgrep -f "^$0 "' "$base/breed"
kill $loop
wait $loop
ok "it ends" same $? 143

place ptys
fill $PTYS
ok "$PTYS short runs at a terminal" status 0 "$lt" loop --log fail-only --use-pty -- printf 'begin %s\nend %s' '%(n)' '%(n)'
ok "no byte is lost" same "$(tr -d '\r' <out | cksum)" "$(i=0; while [ $i -lt $PTYS ]; do printf 'begin %s\nend %s' $i $i; i=$((i + 1)); done | cksum)"

place storm
fill 400
: >storm
for pty in --no-use-pty --use-pty; do
	begin "$lt" loop $pty -- sh -c 'echo "got $1"' x '%(n)'
	loop=$!
	await has 'got 9' out
	"$base/breed" storm $loop storm &
	storm=$!
	wait $loop
	ok "a storm of signals" same $? 0
	ok "every task ran, whole ($pty)" same "$(tr -d '\r' <out | cksum)" "$(seq 0 399 | sed 's/^/got /' | cksum)"
	ok "uncharged" uncharged
	kill $storm
	"$lt" task requeue -s success >/dev/null 2>&1
done

place gone
serving
LABTASKER_API_BASE_URL=http://127.0.0.1:$port LABTASKER_QUEUE_NAME=q LABTASKER_PASSWORD=p
export LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD
"$lt" queue create --queue-name q --password p >/dev/null
fill 40
begin "$lt" loop -j 2 --heartbeat-timeout 3 -- sh -c 'sleep 0.2; echo "$1" >>done' x '%(n)'
loop=$!
await test -s done
kill -9 $server
sleep "$GONE"
ok "a server that is gone: the worker waits" kill -0 $loop
serving
wait $loop
ok "and goes on when it is back" same $? 0
ok "no task is lost" same "$(count success)" 40
ok "none ran twice" same "$(sort -n done | uniq -c | awk '{ print $1 }' | sort -u)" 1
ok "uncharged" uncharged
unset LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD
kill $server

place few
fill 40
n=5
while [ $n -le 24 ]; do
	for how in "" "-j 4" --use-pty; do
		(ulimit -n $n && exec "$lt" loop --once $how -- echo 'got %(n)') >out 2>err </dev/null
		rc=$?
		ok "ulimit -n $n $how: it works, or says what is missing" sh -c '[ "$1" -eq 0 ] || { [ "$1" -eq 1 ] && grep -q "descriptors\|open files" err; }' x $rc
		ok "nothing has failed" same "$(count failed) $(count running)" "0 0"
	done
	n=$((n + 2))
done
ok "uncharged" uncharged
(ulimit -n 24 && exec "$lt" loop -j 16 -- sh -c 'sleep 0.1; echo got "$1"' x '%(n)') >out 2>err </dev/null
ok "more jobs than descriptors: nothing has failed" same "$(count failed) $(count running)" "0 0"
ok "uncharged" uncharged

if [ "$(id -u)" -ne 0 ]; then
	skipped="as root more is tried"
else
	place full
	fill 20
	mkdir logs
	mount -t tmpfs -o size=64k none logs
	"$lt" loop --log-dir logs -- sh -c 'head -c 100000 /dev/zero | tr "\0" x; echo "$1" >>done' x '%(n)' >out 2>err </dev/null
	ok "a full disk for run directories ends the loop" same $? 1
	ok "it says so" has 'No space left' err
	ok "what ran is reported, the others are there" same "$(count success) $(count pending)" "$(lines done) $((20 - $(lines done)))"
	ok "uncharged" uncharged
	ok "all output was shown" same "$(wc -c <out)" "$((100000 * $(lines done)))"
	umount logs

	place noptmx
	fill 2
	ok "no terminals: pipes" status 0 unshare --mount sh -c 'mount --bind /dev/null /dev/ptmx && exec "$0" loop --use-pty -- echo "got %(n)"' "$lt"
	ok "are as good" same "$(grep -c '^got [01]$' out)" 2

	place one
	mkdir root
	(cd "$top" && $CC -static -o "$base/one/root/lt" ./*.c worker/*.c server/*.c cli/*.c 2>/dev/null) || exit 2
	$CC -O2 -static -o root/breed "$base/breed.c" || exit 2
	mkdir root/q
	LABTASKER_ROOT=$PWD/root/q/.labtasker
	export LABTASKER_ROOT
	fill 50
	kill "$(owner "$LABTASKER_ROOT")"
	await test ! -f "$LABTASKER_ROOT/owner"
	begin env LABTASKER_ROOT=/q/.labtasker unshare --pid --fork chroot root /lt loop --use-pty --wait=3 -- /breed '%(n)'
	outer=$!
	await has '^49' out
	loop=$(cat /proc/$outer/task/$outer/children)
	guard_and_server() { [ "$(children $loop | sort -u | tr -d '\n')" = S ] && [ "$(children $loop | wc -l)" -eq 2 ]; }
	ok "PID 1 of an empty chroot: no zombie" await guard_and_server
	ok "no descriptor is left" test "$(fds $loop)" -le 12
	wait $outer
	ok "it ends" same $? 0
	ok "every job was heard" same "$(tr -d '\r' <out | cksum)" "$(seq 0 49 | cksum)"
	ok "every task is done" same "$(count success)" 50
	ok "uncharged" uncharged
	unset LABTASKER_ROOT
fi
