#!/bin/sh
# SPDX-License-Identifier: MIT
# The same program on other processors, under qemu-user: each builds it, submits, runs and lists a task of its own, reads a store
# that all before it wrote in and writes in it, and takes over a queue that the one before it dumped.  At the end each reads what
# all wrote.  Those that PURE names run the pure tests, too.
#   [PURE="arm mips"] sh tests/matrix.sh [ARCH...]
. tests/lib.sh
[ $# -gt 0 ] || set -- x86_64 i386 arm aarch64 riscv64 ppc64le s390x mips
# ld goes around an erratum of the Cortex-A8: a branch that spans two pages takes a detour.  In a static program the detour of one
# to memcpy ends in what chooses a memcpy, so nothing is copied; whether strncpy's branch lies across a page is chance.
compiler() {
	case $1 in
	x86_64) echo gcc ;;
	i386) echo i686-linux-gnu-gcc ;;
	arm) echo arm-linux-gnueabihf-gcc -Wl,--no-fix-cortex-a8 ;;
	ppc64le) echo powerpc64le-linux-gnu-gcc ;;
	*) echo "$1-linux-gnu-gcc" ;;
	esac
}
emulator() { [ "$1" = x86_64 ] || echo "qemu-$1"; }
end() { kill "$(owner)" 2>/dev/null; await test ! -f .labtasker/owner; }   # of the server of this directory
lt() { $(emulator "$arch") "$base/$arch" "$@" 2>err </dev/null || { cat err; return 1; }; }
names() { lt task ls --no-pager --fields args.arch --fmt jsonl | sed 's/.*"args.arch":"\([^"]*\)".*/\1/' | sort | tr '\n' ' '; }
sorted() { echo "$@" | tr ' ' '\n' | sort | tr '\n' ' '; }

for arch; do
	$(compiler "$arch") -O1 -static -o "$base/$arch" *.c worker/*.c server/*.c cli/*.c 2>"$base/warnings" || { cat "$base/warnings"; exit 1; }
done
mkdir -p "$base/chain"
seen=
for arch; do
	place "$arch.d"
	ok "$arch: submit" lt submit -- --arch "$arch" --x 0.1 --big 12345678901234567890 --text 'äöü' >id
	ok "$arch: loop" lt loop -- sh -c 'echo "ran $0 $1 $2 $3"' '%(arch)' '%(x)' '%(big)' '%(text)' >out
	ok "$arch: the job" grep -q "ran $arch 0.1 12345678901234567890 äöü" out
	ok "$arch: ls" [ "$(lt task ls --no-pager -q -s success)" = "$(cat id)" ]
	[ -z "$last" ] || ok "$arch: the queue of $last" lt queue load ../queue
	[ -z "$last" ] || ok "$arch: is as it was" [ "$(lt task ls --no-pager -q -s success | wc -l)" -gt 1 ]
	ok "$arch: dump" lt queue dump >../queue
	last=$arch
	ok "$arch: an end" end
	cp -r ../chain/. here
	cd here || exit 2
	[ -z "$seen" ] || ok "$arch: reads what $seen wrote" [ "$(names)" = "$(sorted $seen)" ]
	seen="$seen${seen:+ }$arch"
	ok "$arch: and writes" lt submit -- --arch "$arch" >id
	ok "$arch: an end" end
	rm -rf ../../chain
	cp -r . ../../chain
done
for arch; do
	cd "$base/chain" || exit 2
	ok "$arch: reads all" [ "$(names)" = "$(sorted $seen)" ]
	ok "$arch: an end" end
done
cd "$top" || exit 2
for arch in $PURE; do
	RUN=$(emulator "$arch") CC=$(compiler "$arch") CFLAGS='-O1 -static' BIN=$base/$arch.bin LABTASKER=$base/$arch PURE=1 sh tests/run.sh >"$base/out" 2>&1
	rc=$?
	ok "$arch: pure tests" [ $rc -eq 0 ]
	[ $rc -eq 0 ] || grep -A 20 ^FAILED "$base/out"
	echo "$arch: $(tail -n 1 "$base/out")"
done
