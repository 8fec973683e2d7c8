#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds and runs the tests and closes with "N passed, N failed".
#   sh tests/run.sh             the suite: every tests/*.c, then every tests/*.t.sh on ./labtasker
#   sh tests/run.sh CORPORA     the same with the public suites in that folder, and the order of use; scripts see CHECK
# CC, CFLAGS, LDFLAGS as make's.  BIN: where to build.  RUN: put before each test program (qemu-user).  PURE=1: C programs only.
# LABTASKER: the binary for the scripts.  ONLY=NAME: tests/NAME.c alone, and all that it says.
cd "$(dirname "$0")/.." || exit 2
CC=${CC:-c99} CFLAGS=${CFLAGS:--O2} BIN=${BIN:-tests/bin} corpora=$1
LABTASKER=${LABTASKER:-$PWD/labtasker}
export CC LABTASKER
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE
unset LABTASKER_WORKER_ID LABTASKER_TASK_ID LABTASKER_LOG_DIR
passed=0 failed=0
rm -rf "$BIN"
mkdir -p "$BIN"

# Four compilers side by side: after each four the last ones are waited for.
four() { started=$((${started:-0} + 1)); [ $((started % 4)) -ne 0 ] || wait; }
# One object a file, and an archive: a test that includes a .c file does not pull in its object.
for f in *.c worker/*.c server/*.c cli/*.c; do
	[ "$f" = labtasker.c ] && continue
	$CC $CFLAGS -c -o "$BIN/$(echo "$f" | tr / _ | sed 's/c$/o/')" "$f" &
	four
done
wait
ar rc "$BIN/lib.a" "$BIN"/*.o || exit 2
for f in tests/${ONLY:-*}.c; do
	$CC $CFLAGS -o "$BIN/$(basename "$f" .c)" "$f" "$BIN/lib.a" $LDFLAGS -lm &
	four
done
wait
[ -z "$ONLY" ] || exec "$BIN/$ONLY"
[ -z "$RUN" ] || export SEEDS=${SEEDS:-20}   # an emulator is slow

# Adds up a test's last "N passed, N failed"; a test without that line, or that ends otherwise than it says, has failed.
count() {
	line=$(tail -n 1 "$BIN/out")
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
		tail -n 40 "$BIN/out"
	else
		echo "$line"
	fi
}

if [ -n "$corpora" ] && [ ! -d "$corpora" ]; then
	echo "SKIPPED: no corpora at $corpora: the public suites were not run (make check CORPORA=DIR)" >&2
	corpora=
fi
for f in tests/*.c; do
	t=$(basename "$f" .c)
	if [ ! -x "$BIN/$t" ]; then
		echo "$t: does not build" >"$BIN/out"
		count "$t" 1
		continue
	fi
	case ${RUN:+$t} in
	guard)
		echo "guard: left out: an emulator's vfork shares no memory, and its signals come late"
		continue ;;
	rest)
		echo "rest: left out: the server that it starts would need an emulator too"
		continue ;;
	esac
	$RUN "$BIN/$t" ${corpora:+"$corpora"} >"$BIN/out" 2>&1 </dev/null
	count "$t" $?
done
if [ -z "$PURE" ]; then
	for f in tests/*.t.sh; do
		BIN=$BIN CHECK=$1 sh "$f" >"$BIN/out" 2>&1 </dev/null
		count "$(basename "$f")" $?
	done
fi
if [ -n "$corpora" ] && [ -z "$PURE" ]; then
	if command -v python3 >/dev/null; then
		CORPORA=$corpora sh tests/ref/replay.sh "$LABTASKER" >"$BIN/out" 2>&1
		count replay $?
	else
		echo "SKIPPED: no python3: the recorded exchanges of the API were not replayed" >&2
	fi
fi
if [ -n "$1" ]; then
	BIN=$BIN sh tests/order.sh >"$BIN/out" 2>&1
	count order $?
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
