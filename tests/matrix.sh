#!/bin/sh
# SPDX-License-Identifier: MIT
# The same program on other processors, under qemu-user: each builds it, submits, runs and lists a task of its own, reads a store
# that all before it wrote in and writes in it, and takes over a queue that the one before it dumped.  At the end each reads what
# all wrote.  Those that PURE names run the pure tests, too.
#   [PURE="arm mips"] sh tests/matrix.sh WORK [ARCH...]     WORK: an empty directory to build in
top=$PWD
work=$1
shift
[ $# -gt 0 ] || set -- x86_64 i386 arm aarch64 riscv64 ppc64le s390x mips
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE LABTASKER_WORKER_ID
passed=0 failed=0
compiler() {
	case $1 in
	x86_64) echo gcc ;;
	i386) echo i686-linux-gnu-gcc ;;
	arm) echo arm-linux-gnueabihf-gcc ;;
	ppc64le) echo powerpc64le-linux-gnu-gcc ;;
	*) echo "$1-linux-gnu-gcc" ;;
	esac
}
emulator() { [ "$1" = x86_64 ] || echo "qemu-$1"; }
ok() {
	what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "matrix: $arch: failed: $what"
	fi
}
end() {   # of the server of this directory
	kill "$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' .labtasker/owner)" 2>/dev/null
	n=0
	while [ -f .labtasker/owner ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
	[ ! -f .labtasker/owner ]
}
lt() { $(emulator "$arch") "$work/$arch" "$@" 2>err </dev/null || { cat err; return 1; }; }
names() { lt task ls --no-pager --fields args.arch --fmt jsonl | sed 's/.*"args.arch":"\([^"]*\)".*/\1/' | sort | tr '\n' ' '; }
sorted() { echo "$@" | tr ' ' '\n' | sort | tr '\n' ' '; }

for arch; do
	$(compiler "$arch") -O1 -static -o "$work/$arch" *.c worker/*.c server/*.c cli/*.c 2>"$work/warnings" || { cat "$work/warnings"; exit 1; }
done
mkdir -p "$work/chain"
seen=
for arch; do
	mkdir "$work/$arch.d"
	cd "$work/$arch.d" || exit 2
	ok "submit" lt submit -- --arch "$arch" --x 0.1 --big 12345678901234567890 --text 'äöü' >id
	ok "loop" lt loop -- sh -c 'echo "ran $0 $1 $2 $3"' '%(arch)' '%(x)' '%(big)' '%(text)' >out
	ok "the job" grep -q "ran $arch 0.1 12345678901234567890 äöü" out
	ok "ls" [ "$(lt task ls --no-pager -q -s success)" = "$(cat id)" ]
	[ -z "$last" ] || ok "the queue of $last" lt queue load ../queue
	[ -z "$last" ] || ok "is as it was" [ "$(lt task ls --no-pager -q -s success | wc -l)" -gt 1 ]
	ok "dump" lt queue dump >../queue
	last=$arch
	ok "an end" end
	cp -r ../chain/. here
	cd here || exit 2
	[ -z "$seen" ] || ok "reads what $seen wrote" [ "$(names)" = "$(sorted $seen)" ]
	seen="$seen${seen:+ }$arch"
	ok "and writes" lt submit -- --arch "$arch" >id
	ok "an end" end
	rm -rf ../../chain
	cp -r . ../../chain
done
for arch; do
	cd "$work/chain" || exit 2
	ok "reads all" [ "$(names)" = "$(sorted $seen)" ]
	ok "an end" end
done
cd "$top" || exit 2
for arch in $PURE; do
	RUN=$(emulator "$arch") CC=$(compiler "$arch") CFLAGS='-O1 -static' BIN=$work/$arch.bin LABTASKER=$work/$arch PURE=1 sh tests/run.sh >"$work/out" 2>&1
	rc=$?
	ok "pure tests" [ $rc -eq 0 ]
	[ $rc -eq 0 ] || grep -A 20 ^FAILED "$work/out"
	echo "$arch: $(tail -n 1 "$work/out")"
done
echo "matrix: $*: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
