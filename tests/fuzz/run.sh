#!/bin/sh
# SPDX-License-Identifier: MIT
# The fuzz targets, tests/fuzz/NAME.c.
#   sh tests/fuzz/run.sh                 each as a plain program over its seeds and their beginnings; "N passed, N failed"
#   sh tests/fuzz/run.sh NAME|all TIME   with clang's libFuzzer and sanitizers, so many seconds each, two at a time
# BIN: where to build; its lib.a (of tests/run.sh) is used where it is there.  CC, CFLAGS, LDFLAGS of the plain programs.
# FUZZCC: clang, or afl-clang-fast, whose programs BIN/fuzz/NAME are for afl-fuzz (TIME 0: they are not run here).
# What is found is in BIN/fuzz/found: each file there, given to its program, shows it again.
cd "$(dirname "$0")/../.." || exit 2
CC=${CC:-c99} CFLAGS=${CFLAGS:--O2} BIN=${BIN:-tests/bin} FUZZCC=${FUZZCC:-clang}
name=$1 time=$2
targets=$(cd tests/fuzz && ls *.c | sed 's/\.c$//' | grep -v '^main$')
out=$BIN/fuzz
mkdir -p "$out/found" || exit 2

# objects CC FLAGS: out/lib.a, one object a file, so that a target that includes a .c file does not pull in its object.
objects() {
	rm -f "$out"/*.o "$out/lib.a"
	ls *.c server/*.c cli/opt.c cli/when.c cli/literal.c cli/expr.c | grep -v '^labtasker\.c$' |
	    xargs -P 4 -I{} sh -c '$1 $2 -c -o "$3/$(echo "$4" | tr / _).o" "$4"' x "$1" "$2" "$out" {} &&
	    ar rc "$out/lib.a" "$out"/*.o && rm -f "$out"/*.o
}

plain() {
	passed=0 failed=0 lib=$BIN/lib.a
	[ -f "$lib" ] || { objects "$CC" "$CFLAGS" && lib=$out/lib.a; }
	for t in $targets; do
		if $CC $CFLAGS -o "$out/$t" "tests/fuzz/$t.c" tests/fuzz/main.c "$lib" $LDFLAGS >"$out/$t.log" 2>&1 &&
		    "$out/$t" tests/fuzz/seeds/"$t"/* >"$out/$t.log" 2>&1; then
			passed=$((passed + $(sed -n 's/.*: \([0-9]*\) passed.*/\1/p' "$out/$t.log")))
		else
			failed=$((failed + 1))
			echo "fuzz/$t: failed"
			tail -n 20 "$out/$t.log"
		fi
	done
	echo "fuzz: $passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# The seeds stay as they are: what is learnt goes to out/corpus.
fuzz='
	mkdir -p "$1/corpus/$2"
	"$1/$2" -max_total_time="$3" -timeout=20 -rss_limit_mb=2000 -max_len=2000 -use_value_profile=1 -print_final_stats=1 \
	    -artifact_prefix="$1/found/$2-" "$1/corpus/$2" "tests/fuzz/seeds/$2" >"$1/$2.log" 2>&1
	rc=$?
	[ $rc -eq 0 ] || tail -n 40 "$1/$2.log"
	echo "fuzz/$2: $(sed -n "s/^stat::number_of_executed_units: //p" "$1/$2.log") executions in $3 s, exit status $rc"
	exit $rc'

[ -n "$name" ] || { plain; exit; }
flags='-std=c99 -O1 -gline-tables-only -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined'
[ "$name" = all ] || targets=$name
objects "$FUZZCC" "$flags -fsanitize=fuzzer-no-link" || exit 2
echo "$targets" | xargs -P 2 -I{} sh -c '$1 $2 -fsanitize=fuzzer -o "$3/$4" "tests/fuzz/$4.c" "$3/lib.a"' \
    x "$FUZZCC" "$flags" "$out" {} || exit 2
[ "$time" -eq 0 ] || echo "$targets" | ASAN_OPTIONS=quarantine_size_mb=8 xargs -P 2 -I{} sh -c "$fuzz" x "$out" {} "$time"
