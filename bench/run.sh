#!/bin/sh
# SPDX-License-Identifier: MIT
# make bench: everything in one interleaved run on this machine; medians, and ratios, which are what counts.
#   ROUNDS=7 TASKS=300 SECONDS_EACH=2 sh bench/run.sh
#   HQ=PYTHON: one that has the package hyperqueue (python3 -m venv v && v/bin/pip install hyperqueue, then HQ=v/bin/python)
cd "$(dirname "$0")/.." || exit 2
CC=${CC:-c99} ROUNDS=${ROUNDS:-7} TASKS=${TASKS:-300} SECONDS_EACH=${SECONDS_EACH:-2}
lt=$PWD/labtasker
# On a disk, not in memory: a synced append is what is measured.  TMPDIR says where.
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/labtasker-bench.XXXXXX") || exit 2
pids=
stop() {
	for p in $pids; do kill "$p" 2>/dev/null; done
	for d in "$dir"/always/.labtasker "$dir"/never/.labtasker; do
		[ -f "$d/owner" ] && kill "$(sed 's/.*"pid": *\([0-9]*\).*/\1/' "$d/owner")" 2>/dev/null
	done
	wait
	rm -rf "$dir"
}
trap stop EXIT
trap 'exit 1' INT TERM
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE LABTASKER_WORKER_ID
for p in floor load; do
	$CC -O2 -o "$dir/$p" bench/$p.c || exit 2
done
$CC -O2 -static -o "$dir/oneshot" bench/oneshot.c || $CC -O2 -o "$dir/oneshot" bench/oneshot.c || exit 2
now() { date +%s%N | sed 's/...$//'; }
case $(date +%N) in *N*) echo "bench: date has no %N here" >&2; exit 2 ;; esac
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)]; else print "-" }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (a == "-" || b == "-" || !b) print "-"; else printf "%.2f", a / b }'; }

# started DIR SYNC: a server for DIR with that --sync.
started() {
	mkdir -p "$1"
	(cd "$1" && exec "$lt" serve --unix "$1/s" --sync "$2" 2>serve.log) &
	pids="$pids $!"
	until [ -f "$1/.labtasker/server.json" ]; do
		kill -0 $! 2>/dev/null || { cat "$1/serve.log" >&2; exit 2; }
	done
}
started "$dir/always" always
started "$dir/never" never

# fill DIR N: N tasks into the queue of DIR, outside the measured time.
fill() {
	seq "$2" | sed 's/.*/{"n": &}/' >"$1/tasks"
	(cd "$1" && "$lt" submit --from tasks >/dev/null) || exit 2
}
# timed OUT CMD...: microseconds a task, with TASKS lines on stdin.
timed() {
	out=$1
	shift
	a=$(now)
	seq "$TASKS" | "$@" >/dev/null 2>"$dir/err" || { cat "$dir/err" >&2; exit 2; }
	b=$(now)
	echo $(((b - a) / TASKS)) >>"$out"
}
loop() {   # loop DIR OUT OPTIONS...
	fill "$1" "$TASKS"
	cd "$1" || exit 2
	out=$2
	shift 2
	timed "$out" "$lt" loop "$@" -- true '%(n)'
	cd "$OLDPWD" || exit 2
}
r=0
touch "$dir/h" "$dir/i"
while [ "$r" -lt "$ROUNDS" ]; do
	timed "$dir/a" xargs -n1 true
	mkdir "$dir/runs$r"
	"$dir/floor" "$TASKS" "$dir/runs$r" true 1 >>"$dir/b" || exit 2   # nothing is removed between: ext4 is slower for minutes then
	loop "$dir/always" "$dir/c"
	loop "$dir/never" "$dir/d"
	timed "$dir/e" xargs -n1 -P2 true
	loop "$dir/always" "$dir/f" -j 2
	loop "$dir/never" "$dir/g" -j 2
	! command -v parallel >/dev/null || timed "$dir/h" parallel --will-cite -j2 true
	[ -z "$HQ" ] || "$HQ" bench/hq.py "$TASKS" 1 2>"$dir/err" | sed -n 's/^figure //p' >>"$dir/i"
	r=$((r + 1))
done
A=$(median "$dir/a") B=$(median "$dir/b") C=$(median "$dir/c") D=$(median "$dir/d") E=$(median "$dir/e") F=$(median "$dir/f")
G=$(median "$dir/g") H=$(median "$dir/h") I=$(median "$dir/i") whose='as it ran'
[ "$I" != - ] || I=1400 whose='as it has published'
echo "microseconds a no-op task, median of $ROUNDS rounds of $TASKS"
printf '  %-44s %8s\n' '(a) xargs -n1' "$A" '(b) floor: the same system calls, no more' "$B" \
	'(c) loop, durable' "$C" '(d) loop, --sync=never' "$D" '(e) xargs -n1 -P2' "$E" '(f) loop -j 2, durable' "$F" \
	'(g) loop -j 2, --sync=never' "$G" '(h) GNU parallel -j2' "$H" "(i) HyperQueue, $whose" "$I"
echo "  (c)/(b) $(ratio "$C" "$B") (target 1.2)   (d)/(a) $(ratio "$D" "$A") (target 2.5)"
echo "  (g)/(e) $(ratio "$G" "$E") (target 1)   (f)/(i) $(ratio "$F" "$I") (target 1)   (f)/(h) $(ratio "$F" "$H") (target 1)"

# One submit from a shell, against a static program that sends the same bytes; ours as built, and linked statically as that one is.
r=0
static=$dir/static
$CC -O2 -static -o "$static" *.c worker/*.c server/*.c cli/*.c 2>/dev/null || static=
while [ "$r" -lt "$ROUNDS" ]; do
	for s in always never; do
		(cd "$dir/$s" && "$dir/oneshot" time 100 "$dir/oneshot" send "$dir/$s/s" default "$(cat .labtasker/password)") >>"$dir/least.$s" || exit 2
		(cd "$dir/$s" && "$dir/oneshot" time 100 "$lt" submit -- --n 1) >>"$dir/submit.$s" || exit 2
		[ -z "$static" ] || (cd "$dir/$s" && "$dir/oneshot" time 100 "$static" submit -- --n 1) >>"$dir/static.$s" || exit 2
	done
	r=$((r + 1))
done
echo "microseconds a submit on a running server, median of $ROUNDS rounds of 100"
for s in always never; do
	L=$(median "$dir/least.$s") M=$(median "$dir/submit.$s") T=-
	[ -z "$static" ] || T=$(median "$dir/static.$s")
	echo "  --sync=$s: the same bytes $L   submit $M ($(ratio "$M" "$L"), target 2)   linked statically $T ($(ratio "$T" "$L"))"
done

# requests a second
pw=$(cat "$dir/always/.labtasker/password")
if command -v redis-server >/dev/null; then
	(cd "$dir" && exec redis-server --port 0 --unixsocket "$dir/redis.sock" --appendonly yes --appendfsync always --save '' --dir "$dir" >/dev/null) &
	pids="$pids $!"
	until [ -S "$dir/redis.sock" ]; do kill -0 $! || exit 2; done
	redis=1
fi
if command -v beanstalkd >/dev/null; then
	mkdir "$dir/bs"
	beanstalkd -l 127.0.0.1 -p 11399 -b "$dir/bs" -f0 >/dev/null 2>&1 &
	pids="$pids $!"
	sleep 0.3
	beans=1
fi
for n in 1 10 100; do
	r=0
	rm -f "$dir"/l "$dir"/r "$dir"/s "$dir"/e
	touch "$dir/l" "$dir/r" "$dir/s" "$dir/e"
	while [ "$r" -lt 3 ]; do
		"$dir/load" labtasker "$dir/always/s" $n "$SECONDS_EACH" default "$pw" >>"$dir/l" || exit 2
		[ -n "$redis" ] && "$dir/load" redis "$dir/redis.sock" $n "$SECONDS_EACH" >>"$dir/r"
		[ -n "$beans" ] && "$dir/load" beanstalk 11399 $n "$SECONDS_EACH" >>"$dir/s"
		"$dir/load" labtasker "$dir/never/s" $n "$SECONDS_EACH" default "$(cat "$dir/never/.labtasker/password")" >>"$dir/e"
		r=$((r + 1))
	done
	L=$(median "$dir/l") R=$(median "$dir/r") S=$(median "$dir/s") E=$(median "$dir/e")
	echo "requests a second, durable, $n connections: labtasker $L"
	[ -n "$redis" ] && echo "    redis-server appendfsync=always $R (ours is $(ratio "$L" "$R") of it)" || echo "    redis-server: not on this machine"
	[ -n "$beans" ] && echo "    beanstalkd -f0 $S (ours is $(ratio "$L" "$S") of it)" || echo "    beanstalkd: not on this machine"
	echo "    labtasker --sync=never $E"
done
