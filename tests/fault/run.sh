#!/bin/sh
# SPDX-License-Identifier: MIT
# Injected faults: a clean run of each role is counted, then its 1st, 2nd, 3rd ... call of each kind fails in each way that the manual
# of the call names (tests/fault/wrap.c).  Never may that be a crash, a leak, a hang, a process that is left behind, or a loss of what
# was acknowledged: after a restart without faults everything is there, and no task that succeeded is run again.
#   sh tests/fault/run.sh                              all of them
#   SPREAD=2 sh tests/fault/run.sh                     of each role, kind and error only so many, evenly spread
#   BUDGET=60 sh tests/fault/run.sh                    only as many as can be begun within so many seconds
#   sh tests/fault/run.sh serve 0/write-file:17:ENOSPC one, and what it said
# ROLES="first submit serve loop ls"   CC   CFLAGS   JOBS=2: side by side   LIMIT=20: seconds that are a hang   BIN: where to build
# Linux, with glibc and GNU ld.  With CFLAGS that ask for it the sanitizers look on; leaks count where memory did not run out, since
# a process that ends for want of it frees nothing.
cd "$(dirname "$0")/../.." || exit 2
CC=${CC:-cc} CFLAGS=${CFLAGS:--O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined}
BIN=${BIN:-tests/bin/fault} JOBS=${JOBS:-2} LIMIT=${LIMIT:-20} ROLES=${ROLES:-first submit serve loop ls}
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE FAULT FAULT_LOG
unset LABTASKER_WORKER_ID LABTASKER_TASK_ID LABTASKER_LOG_DIR http_proxy no_proxy
ulimit -n 128
ulimit -c 0
mkdir -p "$BIN" || exit 2
BIN=$(cd "$BIN" && pwd -P)
bad=$BIN/faulty good=$BIN/clean
base=$(cd "$(mktemp -d)" && pwd -P) || exit 2

build() {
	wraps=
	for f in $(sed -n 's/^__wrap_\([a-z0-9]*\)(.*/\1/p' tests/fault/wrap.c); do
		wraps="$wraps -Wl,--wrap=$f"
	done
	rm -f "$good"
	$CC -O2 -o "$good" ./*.c worker/*.c server/*.c cli/*.c &
	$CC -std=c99 -O2 -c -o "$BIN/wrap.o" tests/fault/wrap.c &&
	    $CC $CFLAGS $wraps -o "$bad" ./*.c worker/*.c server/*.c cli/*.c "$BIN/wrap.o" && wait && [ -x "$good" ]
}

# What a call can come to, by the manuals of POSIX and Linux: those that depend on the system, not on a wrong argument.
errors() {
	case $1 in
	alloc) echo ENOMEM ;;
	read-file) echo EINTR EIO ENOMEM EOVERFLOW ESTALE short ;;
	read-pipe) echo EINTR EIO EAGAIN ENOMEM short ;;
	read-sock) echo EINTR EIO EAGAIN ENOMEM ENOBUFS ECONNRESET ENOTCONN ETIMEDOUT short eof ;;
	write-file) echo EINTR EIO ENOSPC EDQUOT EFBIG ENOMEM ESTALE short ;;
	write-pipe) echo EINTR EIO EAGAIN EPIPE ENOMEM short ;;
	write-sock) echo EINTR EIO EAGAIN EPIPE ECONNRESET ENOBUFS ENOMEM ENETDOWN ENETUNREACH short ;;
	fsync) echo EINTR EIO ENOSPC EDQUOT EROFS EINVAL ;;
	rename) echo EACCES EBUSY EDQUOT EIO ELOOP EMLINK ENOENT ENOMEM ENOSPC EPERM EROFS ESTALE EXDEV ;;
	open) echo EACCES EDQUOT EINTR EIO EISDIR ELOOP EMFILE ENFILE ENOENT ENOMEM ENOSPC ENXIO EOVERFLOW EPERM EROFS ESTALE ;;
	poll) echo EINTR EAGAIN EINVAL ENOMEM short ;;
	accept) echo EAGAIN ECONNABORTED EHOSTUNREACH EINTR EMFILE ENETDOWN ENFILE ENOBUFS ENOMEM EPERM EPROTO ;;
	connect) echo EACCES EADDRINUSE EADDRNOTAVAIL EAGAIN ECONNREFUSED ECONNRESET EHOSTUNREACH EINTR ENETUNREACH ENOBUFS ENOENT EPERM ETIMEDOUT ;;
	fork) echo EAGAIN ENOMEM ENOSYS ;;
	pipe) echo EMFILE ENFILE ;;
	esac
}

# ---- one case: in its own directory, under FAULT (empty: none) ----

wrong() { echo "WRONG: $*"; }
owner() { sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' .labtasker/owner 2>/dev/null; }

lives() { [ -e "/proc/$1/exe" ]; }   # what nobody has reaped yet does not

# Ends the server of here, whoever started it.
stop() {
	pid=$(owner) t=0
	[ -n "$pid" ] && kill "$pid" 2>/dev/null || return 0
	while lives "$pid"; do
		t=$((t + 1))
		[ $t -lt $((LIMIT * 50)) ] || { wrong "server $pid does not end"; kill -9 "$pid"; return; }
		sleep 0.02
	done
}

# judge WHAT STATUS: ended by itself, and in time.
judge() {
	case $2 in
	124 | 137) wrong "$1: hangs for $LIMIT s" ;;
	99) wrong "$1: the sanitizer ended it" ;;
	12[5-9] | 1[3-9]? | 2??) wrong "$1: exit status $2" ;;
	esac
}

# faulty NAME COMMAND...: under the fault, with a limit; its status in rc, what it printed in NAME.out and NAME.err.
faulty() {
	what=$1
	shift
	FAULT=$fault FAULT_LOG=$PWD/calls timeout -k 1 "$LIMIT" "$bad" "$@" >"$what.out" 2>"$what.err" </dev/null
	rc=$?
	judge "$what" $rc
}

clean() {
	what=$1
	shift
	timeout -k 1 "$LIMIT" "$good" "$@" >"$what.out" 2>"$what.err" </dev/null
	rc=$?
	judge "clean $what" $rc
}

# submitted NAME: what it printed is acknowledged, and it printed what it acknowledged.
submitted() {
	id=$(cat "$1.out")
	[ -n "$id" ] && echo "$id" >>acked
	[ $rc -ne 0 ] || [ ${#id} -eq 36 ] || wrong "$1: status 0 without an id: '$id'"
}

# ID STATUS of every task, as a server sees it that reads the store anew.
states() {
	stop
	"$good" task ls --no-pager --fmt jsonl 2>states.err | sed 's/^{"task_id":"\([^"]*\)".*"status":"\([a-z]*\)".*/\1 \2/' >"$1"
	[ ! -s states.err ] || grep -v 'started a server' states.err
}

# verify MOST: every acknowledged task is there, and no more than MOST; what succeeded is not run again when all the rest is.
verify() {
	states before
	while read -r id; do
		grep -q "^$id " before || wrong "lost: $id"
	done <acked
	[ "$(wc -l <before)" -le "$1" ] || wrong "$(wc -l <before) tasks, $1 at most were submitted"
	sort before | sed -n 's/ success$//p' >succeeded
	sort ran 2>/dev/null | uniq -c | grep -v ' 1 ' && wrong "run twice"
	while read -r id; do
		grep -q "^$id$" ran || wrong "a success that never ran: $id"
	done <succeeded
	cp ran ran.before 2>/dev/null || : >ran.before
	clean rest loop -- sh -c 'echo $LABTASKER_TASK_ID >>ran'
	[ $rc -eq 0 ] || wrong "the rest: exit status $rc: $(cat rest.err)"
	while read -r id; do
		[ "$(grep -c "^$id$" ran)" -eq "$(grep -c "^$id$" ran.before)" ] || wrong "succeeded, and was run again: $id"
	done <succeeded
	states after
	grep -q ' pending$' after && wrong "left pending: $(grep ' pending$' after)"
	stop
}

role_submit() {
	faulty submit task submit -- --n 4
	submitted submit
	verify 4
}

# The first one in a directory, which makes the queue.
role_first() {
	rm -rf .labtasker
	: >acked
	faulty first task submit -- --n 1
	submitted first
	clean second task submit -- --n 2
	[ $rc -eq 0 ] || wrong "a submit after it: exit status $rc: $(cat second.err)"
	submitted second
	verify 2
}

role_loop() {
	faulty loop loop -- sh -c 'echo $LABTASKER_TASK_ID >>ran; echo hello'
	states now
	[ $rc -ne 0 ] || ! grep -v ' success$' now || wrong "loop: status 0, and tasks are left"
	verify 3
}

role_ls() {
	faulty ls task ls -q --no-pager
	[ $rc -ne 0 ] || sort ls.out | cmp -s - acked.sorted || wrong "ls: status 0 and a wrong list"
	verify 3
}

role_serve() {
	FAULT=$fault FAULT_LOG=$PWD/calls "$bad" serve --unix s >serve.out 2>serve.err </dev/null &
	server=$!
	t=0
	until [ -f .labtasker/server.json ] || ! lives $server; do
		t=$((t + 1))
		[ $t -lt $((LIMIT * 50)) ] || { wrong "serve: neither listens nor ends"; break; }
		sleep 0.02
	done
	for n in 4 5 6; do
		clean submit task submit -- --n $n
		[ $rc -eq 0 ] || wrong "submit: exit status $rc: $(cat submit.err)"
		submitted submit
	done
	clean update task update --id "$id" -u priority=20 -q
	[ $rc -ne 0 ] || updated=$id
	for try in 1 2; do
		clean loop loop --max-tasks 4 -- sh -c 'echo $LABTASKER_TASK_ID >>ran; echo hello'
		looped=$rc
		grep -q 'the outcome is unknown: look with .labtasker worker ls' loop.err || break   # it said so, and begins anew
	done
	[ $rc -eq 0 ] || wrong "loop: exit status $rc: $(cat loop.err)"
	clean ls task ls -q --no-pager
	[ $rc -eq 0 ] && [ "$(wc -l <ls.out)" -ne 6 ] && wrong "ls: $(wc -l <ls.out) tasks"
	kill $server 2>/dev/null
	t=0
	while lives $server; do
		t=$((t + 1))
		[ $t -lt $((LIMIT * 50)) ] || { wrong "serve: does not end"; kill -9 $server; }
		sleep 0.02
	done
	wait $server
	rc=$?
	judge serve $rc
	states now
	[ $looped -ne 0 ] || [ "$(grep -c ' success$' now)" -eq 4 ] || wrong "loop: status 0, and not all of its four are there as success"
	[ -z "$updated" ] || "$good" task ls --id "$updated" --fmt jsonl --no-pager | grep -q '"priority":20,' || wrong "the update is lost"
	verify 6
}

# one ROLE FAULT DIR: runs it; a line that begins with WRONG is one thing that may not be.
one() {
	role=$1 fault=$2 dir=$3
	cp -Rp "$base/seed" "$dir" && cd "$dir" || return
	case $fault in */alloc:*) leaks=0 ;; *) leaks=1 ;; esac
	export ASAN_OPTIONS="detect_leaks=$leaks:exitcode=99:log_path=$dir/asan:allocator_may_return_null=1" UBSAN_OPTIONS="log_path=$dir/asan"
	export LSAN_OPTIONS="exitcode=99"
	role_"$role"
	for f in asan.*; do
		[ ! -f "$f" ] || wrong "sanitizer: $(grep -m 1 -e ERROR -e 'runtime error' "$f")"
	done
	cd "$base" || return
	t=0
	while left=$(find /proc -maxdepth 2 -name cwd -lname "$dir" 2>/dev/null | cut -d / -f 3); [ -n "$left" ]; do
		t=$((t + 1))
		if [ $t -gt 150 ]; then
			wrong "left behind: $(ps -o pid= -o args= -p "$(echo $left | tr ' ' ,)")"
			kill -9 $left
			break
		fi
		sleep 0.02
	done
}

# ---- the walk ----

seed() {
	mkdir "$base/seed" && cd "$base/seed" || exit 2
	for n in 1 2 3; do
		"$good" task submit -- --n $n >>acked 2>/dev/null || exit 2
	done
	sort acked >acked.sorted
	stop
}

# The faults of a role, from the calls that a clean run made: "ROLE FAULT" a line.
plan() {
	( one "$1" "" "$base/plan.$1" ) >"$base/plan.out" 2>&1
	if grep -q '^WRONG' "$base/plan.out"; then
		echo "$1: without a fault:" >&2
		cat "$base/plan.out" >&2
		return 1
	fi
	case $1 in first) skip= ;; *) skip='^2/' ;; esac   # a server that was started is seen to there, all others by serve
	grep -v "${skip:-^$}" "$base/plan.$1/calls" | sort | uniq -c | while read -r n what; do
		e=0
		for how in $(errors "${what#*/}"); do
			e=$((e + 1))
			echo "$1 $what $how $n $e"
		done
	done | awk -v spread="${SPREAD:-0}" '{
		n = $4
		m = spread > 0 && spread < n ? spread : n
		shift = m < n ? ($5 * 0.618034) % 1 : 0   # other places for each error
		for (j = 0; j < m; j++) {
			at = int((j + shift) * n / m) + 1
			print $1, $2 ":" at ":" $3
			if ($3 == "ENOMEM" && $2 ~ /alloc/) print $1, $2 ":" at "+:" $3
		}
	}'
}

# Every JOBS-th case from the first on.
worker() {
	awk -v k="$1" -v jobs="$JOBS" 'NR % jobs == k % jobs' "$base/plan" | while read -r role fault; do
		dir=$base/case.$1
		from=$(date +%s)
		[ "$from" -lt "$end" ] || break
		( one "$role" "$fault" "$dir" ) >"$base/out.$1" 2>&1
		took=$(($(date +%s) - from))
		grep -q '^hit' "$dir/calls" 2>/dev/null && hit=hit || hit=missed
		grep -q '^WRONG' "$base/out.$1" && hit=WRONG
		[ "$hit" = WRONG ] && { echo "WRONG: sh tests/fault/run.sh $role $fault"; grep '^WRONG' "$base/out.$1"; }
		[ "$took" -lt 6 ] || echo "slow: $took s: $role $fault"
		echo "$role $fault $hit" >>"$base/done.$1"
		rm -rf "$dir"
	done
}

trap 'rm -rf "$base"' EXIT
trap 'exit 1' INT TERM HUP
[ -n "$KEEP" ] && [ -x "$bad" ] || build || exit 2
( seed ) || { echo "fault: no seed"; exit 2; }
if [ $# -eq 2 ]; then
	( one "$1" "$2" "$base/case" ) >"$base/out" 2>&1
	for f in "$base"/case/*.err "$base"/case/*.out "$base"/case/asan.* "$base"/case/calls "$base"/case/.labtasker/server.log "$base"/out; do
		[ -s "$f" ] && echo "-- ${f##*/}" && cat "$f"
	done
	! grep -q '^WRONG' "$base/out"
	exit
fi
for r in $ROLES; do
	plan "$r" >>"$base/in-order" || exit 1
done
# Mixed, so that a part of them is a part of each kind.
awk 'BEGIN { srand(1) } { print rand(), $0 }' "$base/in-order" | sort | cut -d ' ' -f 2- >"$base/plan"
end=$(($(date +%s) + ${BUDGET:-1000000}))
k=0
while [ $k -lt "$JOBS" ]; do
	worker $k &
	k=$((k + 1))
done
wait
cat "$base"/done.* >"$base/done"
awk '{ split($2, a, "[/:]"); n[$1]++; if ($3 != "missed") met[$1]++; kind[a[2]]++; seen[a[2] a[4]]++ }
    END {
	for (r in n) printf "%s: %d faults, %d met\n", r, n[r], met[r]
	for (k in kind) { printf "%s %d  ", k, kind[k]; kinds++ }
	for (s in seen) errors++
	printf "\n%d kinds of calls, %d ways for them to fail\n", kinds, errors
    }' "$base/done"
wrongs=$(grep -c 'WRONG$' "$base/done")
met=$(grep -c -v 'missed$' "$base/done")
echo "fault: $(wc -l <"$base/done") of $(wc -l <"$base/plan") faults, $met met: $((met - wrongs)) passed, $wrongs failed"
[ "$wrongs" -eq 0 ] && [ "$met" -gt 0 ]
