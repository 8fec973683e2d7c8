#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds and runs the tests and closes with "N passed, N failed".
#   sh tests/run.sh             the suite: every tests/*.c, then every tests/*.t.sh on ./labtasker
#   sh tests/run.sh CORPORA     the same with the public suites in that folder, the fuzz seeds and the order of use; scripts see CHECK
# CC, AR, CFLAGS, LDFLAGS as make's.  BIN: where to build.  RUN: put before each test program (qemu-user).  PURE=1: C programs only.
# LANES: how many run at a time.  LABTASKER: the binary for the scripts.  ONLY=NAME: tests/NAME.c alone, and all that it says.
cd "$(dirname "$0")/.." || exit 2
CC=${CC:-c99} CFLAGS=${CFLAGS:--O2} BIN=${BIN:-tests/bin} corpora=$1 check=$1 LANES=${LANES:-4}
LABTASKER=${LABTASKER:-$PWD/labtasker}
export CC LABTASKER BIN
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE
unset LABTASKER_WORKER_ID LABTASKER_TASK_ID LABTASKER_LOG_DIR
passed=0 failed=0
rm -rf "$BIN"
mkdir -p "$BIN"

# lanes COMMAND FILE...: the command for each file, LANES at a time: each lane takes the next that none has taken.
lanes() {
	what=$1 lane=0
	shift
	while [ $lane -lt "$LANES" ]; do
		for f; do
			mkdir "$BIN/taken.$what.$(echo "$f" | tr / _)" 2>/dev/null && $what "$f"
		done &
		lane=$((lane + 1))
	done
	wait
}
# One object a file, and an archive: a test that includes a .c file does not pull in its object.
object() { [ "$1" = labtasker.c ] || $CC $CFLAGS -c -o "$BIN/$(echo "$1" | tr / _ | sed 's/c$/o/')" "$1"; }
program() { $CC $CFLAGS -o "$BIN/$(basename "$1" .c)" "$1" "$BIN/lib.a" $LDFLAGS -lm; }
lanes object *.c worker/*.c server/*.c cli/*.c
${AR:-ar} rc "$BIN/lib.a" "$BIN"/*.o || exit 2
lanes program tests/${ONLY:-*}.c
[ -z "$ONLY" ] || exec "$BIN/$ONLY"
[ -z "$RUN" ] || export SEEDS=${SEEDS:-20}   # an emulator is slow

# Runs one; its output and exit status are left for count.
run() {
	t=$(basename "$1")
	case $1 in
	*.sh) CHECK=$check sh "$1" ;;
	*) $RUN "$BIN/${t%.c}" ${corpora:+"$corpora"} ;;
	esac >"$BIN/$t.out" 2>&1 </dev/null
	echo $? >"$BIN/$t.status"
}

# Adds up a test's last "N passed, N failed"; a test without that line, or that ends otherwise than it says, has failed.
count() {
	out=$BIN/$(basename "$1").out
	line=$(tail -n 1 "$out")
	p=$(echo "$line" | sed -n 's/.*[^0-9]\([0-9][0-9]*\) passed, [0-9]* failed.*/\1/p')
	f=$(echo "$line" | sed -n 's/.* passed, \([0-9][0-9]*\) failed.*/\1/p')
	if [ -z "$p" ] || [ -z "$f" ]; then
		p=0 f=1
	elif [ "$2" -ne 0 ] && [ "$f" -eq 0 ]; then
		f=1
	fi
	passed=$((passed + p)) failed=$((failed + f))
	if [ "$f" -ne 0 ]; then
		echo "FAILED $1 (exit status $2)"
		tail -n 40 "$out"
	else
		echo "$line"
	fi
}

if [ -n "$corpora" ] && [ ! -d "$corpora" ]; then
	echo "SKIPPED: no corpora at $corpora: the public suites were not run (make check CORPORA=DIR)" >&2
	corpora=
fi
list=
for f in tests/*.c; do
	case ${RUN:+$RUN $f} in
	*tests/guard.c) echo "guard: left out: an emulator's vfork shares no memory, and its signals come late" ;;
	*tests/answers.c | *tests/rest.c) echo "$f: left out: what it starts would need an emulator too" ;;
	"qemu-mips tests/client.c" | "qemu-mips tests/net.c") echo "$f: left out: qemu-mips tells SO_ERROR by this machine's numbers" ;;
	*) list="$list $f" ;;
	esac
done
[ -n "$PURE" ] || list="$(echo tests/*.t.sh) $list" longest='tests/worker.t.sh tests/loop.t.sh tests/local.t.sh'
lanes run $longest $list   # none is run twice
for f in $list; do
	count "$f" "$(cat "$BIN/$(basename "$f").status")"
done
if [ -n "$corpora" ] && [ -z "$PURE" ]; then
	if command -v python3 >/dev/null; then
		CORPORA=$corpora sh tests/ref/replay.sh "$LABTASKER" >"$BIN/replay.out" 2>&1
		count replay $?
	else
		echo "SKIPPED: no python3: the recorded exchanges of the API were not replayed" >&2
	fi
fi
if [ -n "$check" ]; then
	CFLAGS=$CFLAGS sh tests/fuzz/run.sh >"$BIN/fuzz.out" 2>&1
	count fuzz $?
	BIN=$BIN sh tests/order.sh >"$BIN/order.out" 2>&1
	count order $?
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
