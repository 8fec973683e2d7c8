#!/bin/sh
# SPDX-License-Identifier: MIT
# make bench-server: what the server costs as tasks grow, and beside others, in one run on this machine; ratios are what counts.
#   MOST=1000000 CHANGES=1000000 SECONDS_EACH=3 ROUNDS=3 sh bench/server.sh
cd "$(dirname "$0")/.." || exit 2
CC=${CC:-c99} MOST=${MOST:-1000000} CHANGES=${CHANGES:-1000000} SECONDS_EACH=${SECONDS_EACH:-3} ROUNDS=${ROUNDS:-3}
lt=$PWD/labtasker
# On a disk, not in memory: a synced append is what is measured.  TMPDIR says where.
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/labtasker-bench.XXXXXX") || exit 2
pids=
stop() {
	for p in $pids; do kill "$p" 2>/dev/null; done
	wait
	rm -rf "$dir"
}
trap stop EXIT
trap 'exit 1' INT TERM
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE LABTASKER_WORKER_ID
for p in scale load; do
	$CC -O2 -o "$dir/$p" bench/$p.c || exit 2
done
case $(date +%N) in *N*) echo "bench: date has no %N here" >&2; exit 2 ;; esac
now() { date +%s%N | sed 's/......$//'; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)]; else print "-" }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (a == "-" || b == "-" || !b) print "-"; else printf "%.2f", a / b }'; }
rss() { ps -o rss= -p "$server" | tr -d ' '; }

# serve DIR SYNC: a server for DIR; its pid in $server.
serve() {
	mkdir -p "$1"
	(cd "$1" && exec "$lt" serve --host 127.0.0.1 --port 0 --unix "$1/s" --sync "$2" 2>serve.log) &
	server=$!
	pids="$pids $server"
	until [ -f "$1/.labtasker/server.json" ]; do
		kill -0 $server 2>/dev/null || { cat "$1/serve.log" >&2; exit 2; }
	done
	pw=$(cat "$1/.labtasker/password")
}
ask() {   # ask MODE DIR ARGS...
	mode=$1 at=$2
	shift 2
	"$dir/scale" "$mode" "$at/s" default "$pw" "$@" || exit 2
}
args='{"prompt":"an astronaut riding a horse","guidance_scale":7.5}' keys='["prompt","guidance_scale"]'

echo "microseconds a request on one connection, median of 2000, --sync=never"
printf '  %9s  %30s  %38s  %12s %12s %12s %12s\n' tasks 'submit fetch heartbeat report' 'the same, tasks of another shape' \
    'search name' 'search status' 'search' 'task ls'
serve "$dir/a" never
base=$(rss) had=0
for n in 1000 100000 "$MOST"; do
	ask fill "$dir/a" $((n - had)) "$args"
	had=$n
	same=$(ask cycle "$dir/a" 2000 "$args" "$keys") other=$(ask cycle "$dir/a" 2000 '{"seed":1}' '["seed"]')
	name=$(ask search "$dir/a" 100 '{"extra_filter":{"$and":[{"task_name":"none"}]}}')
	status=$(ask search "$dir/a" 100 '{"limit":10,"extra_filter":{"status":"running"}}')
	any=$(ask search "$dir/a" 100 '{}')
	ls=$(ask search "$dir/a" 100 '{"sort":[["priority",-1],["last_modified",1],["created_at",1]]}')
	printf '  %9s  %30s  %38s  %12s %12s %12s %12s\n' "$n" "$same" "$other" "$name" "$status" "$any" "$ls"
	[ $n = 1000 ] && first="$same $other" first_any=$any first_ls=$ls
done
set -- $first $same $other
for i in submit:$1:$9 fetch:$2:${10} heartbeat:$3:${11} report:$4:${12} 'fetch(other shape)':$6:${14}; do
	echo "  $(echo "$i" | cut -d: -f1) at $MOST / at 1000: $(ratio "$(echo "$i" | cut -d: -f3)" "$(echo "$i" | cut -d: -f2)") (target 2)"
done
echo "  search at $MOST / at 1000: $(ratio "$any" "$first_any"), task ls: $(ratio "$ls" "$first_ls") (target 2)"
used=$(($(rss) - base))
ask fill "$dir/a" 100000 '{"k#":1}'
set -- $(ask cycle "$dir/a" 2000 '{"seed":1}' '["seed"]')
echo "  fetch beside 100000 other shapes / at 1000: $(ratio "$2" "$(echo "$first" | cut -d' ' -f2)") (target 2)"
echo "memory a task: $((used * 1024 / (MOST + 12000))) bytes, of which ${#args} payload (target 400 + payload)"
kill $server
wait $server
a=$(now)
serve "$dir/a" never
b=$(now)
echo "restart with $MOST tasks: $((b - a)) ms (target 3000), journal $(($(wc -c <"$dir/a/.labtasker/journal") / 1000000)) MB"

# Compaction: the live tasks and as much again of changes.  A marker tells the pinger when it is over.
j=$dir/a/.labtasker/journal
ask change "$dir/a" 1000
while [ ! -f "$j.new" ]; do ask change "$dir/a" 1000; done
a=$(now)
longest=$(ask ping "$dir/a" "$j.new")
b=$(now)
echo "longest answer in a compaction of $((b - a)) ms with $MOST tasks: $longest ms (target 50)"
kill $server
wait $server

# One old task and many changes.
serve "$dir/b" never
most=0
ask change "$dir/b" "$CHANGES" &
changer=$!
while kill -0 $changer 2>/dev/null; do
	size=$(du -sk "$dir/b/.labtasker" | cut -f1)
	[ "$size" -gt $most ] && most=$size
	sleep 0.1
done
wait $changer || exit 2
echo "one old task and $CHANGES changes: at most $((most / 1024)) MB (target 64)"
kill $server
wait $server
rm -rf "$dir/a" "$dir/b"

# Beside others: durable requests a second.
serve "$dir/c" always
if command -v redis-server >/dev/null; then
	(cd "$dir" && exec redis-server --port 0 --unixsocket "$dir/redis.sock" --maxclients 4000 --appendonly yes --appendfsync always --save '' --dir "$dir" >/dev/null) &
	pids="$pids $!"
	until [ -S "$dir/redis.sock" ]; do kill -0 $! || exit 2; done
	redis=1
fi
if command -v beanstalkd >/dev/null; then
	port=$((12000 + $$ % 20000))
	mkdir "$dir/bs"
	beanstalkd -l 127.0.0.1 -p $port -b "$dir/bs" -f0 >/dev/null 2>&1 &
	pids="$pids $!"
	until "$dir/load" beanstalk $port 1 0 >/dev/null 2>&1; do kill -0 $! || exit 2; done
	beans=1
fi
for n in 100 1000; do
	rm -f "$dir"/l "$dir"/r "$dir"/b
	r=0
	while [ "$r" -lt "$ROUNDS" ]; do
		"$dir/load" labtasker "$dir/c/s" $n "$SECONDS_EACH" default "$pw" >>"$dir/l" || exit 2
		[ -n "$redis" ] && "$dir/load" redis "$dir/redis.sock" $n "$SECONDS_EACH" >>"$dir/r"
		[ -n "$beans" ] && "$dir/load" beanstalk $port $n "$SECONDS_EACH" >>"$dir/b"
		r=$((r + 1))
	done
	touch "$dir/r" "$dir/b"
	L=$(median "$dir/l") R=$(median "$dir/r") B=$(median "$dir/b")
	echo "durable requests a second, $n connections: labtasker $L; redis-server appendfsync=always $R ($(ratio "$L" "$R")); beanstalkd -f0 $B ($(ratio "$L" "$B"))"
done
