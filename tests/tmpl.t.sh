#!/bin/sh
# SPDX-License-Identifier: MIT
# Has the shells of this machine run what tests/tmpl.c expanded: every context with nasty values, random nestings, and random
# tokens around values that would run touch if they could.  The words args sees must be exact, and no file may appear.
# One process a shell runs all texts, each in a subshell; where something is wrong, each again by -c to find out which.
#   FUZZ=N, GARBAGE=N: how many random texts; FROM=N: their first seed; CHECK=1: many, every value in every context, and by -c too
BIN=${BIN:-tests/bin} FROM=${FROM:-1}
if [ -n "$CHECK" ]; then
	FUZZ=${FUZZ:-100} GARBAGE=${GARBAGE:-3000} which=contexts candidates='sh dash bash busybox mksh zsh'
else
	FUZZ=${FUZZ:-4} GARBAGE=${GARBAGE:-60} which=some candidates='dash bash busybox mksh zsh'
fi
case $BIN in /*) ;; *) BIN=$PWD/$BIN ;; esac
tmpl=$BIN/tmpl
passed=0 failed=0 shells=
base=$(mktemp -d) || exit 2
trap 'rm -rf "$base"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$base/empty" && cd "$base/empty" || exit 2

for s in $candidates; do
	if command -v $s >/dev/null 2>&1; then
		shells="$shells $s"
	else
		echo "tmpl.t.sh: skipped: $s is not installed"
	fi
done

# run SHELL FILE [-c]: with args, which prints each of its arguments between < and >.  -c: by -c, which takes 128 KiB at most.
run() {
	print='printf "<%s>" "$a_"' shell=$1
	[ $1 = mksh ] && print='print -nr -- "<$a_>"'
	[ $1 = busybox ] && shell='busybox sh'
	{ echo "args() { for a_ do $print; done; echo; }"; cat "$2"; } >"$base/file"
	if [ -n "$3" ]; then
		$shell -c "$(cat "$base/file")"
	else
		$shell ../file   # $0, which texts have, without spaces
	fi >"$base/got" 2>"$base/err" </dev/null
}

clean() { rm -rf "$base/empty/"* "$base/empty/".[!.]*; }

# well WHAT WANT: got is what the file WANT holds, and no file appeared.
well() {
	if [ "$1" = garbage ]; then
		[ ! -e X ]
	else
		cmp -s "$2" "$base/got" && [ -z "$(ls -A)" ]
	fi
}

# each SHELL WHAT FROM N
each() {
	k=$3
	while [ $k -lt $(($3 + $4)) ] && "$tmpl" --text $2 $k >"$base/text"; do
		"$tmpl" --want $2 $k 1 >"$base/want"
		run $1 "$base/text" -c
		if well $2 "$base/want"; then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
			echo "tmpl.t.sh: failed: $2 $k in $1:"
			[ $2 = garbage ] && cat "$base/text"
			diff -a "$base/want" "$base/got" | head -n 6
			head -n 3 "$base/err"
			ls -A
		fi
		clean
		k=$((k + 1))
	done
}

# all WHAT FROM N
all() {
	"$tmpl" --run $1 $2 $3 >"$base/script" && "$tmpl" --want $1 $2 $3 >"$base/output" || failed=$((failed + 1))
	n=$(grep -c '^(eval ' "$base/script")
	for s in $shells; do
		run $s "$base/script"
		if well $1 "$base/output"; then
			passed=$((passed + n))
			clean
		else
			clean
			before=$failed
			each $s $1 $2 $3
			[ $failed -gt $before ] || { failed=$((failed + 1)); echo "tmpl.t.sh: failed: $1 in $s, but only together"; }
		fi
	done
}

[ -n "$shells" ] || shells=sh
all $which 0 999
[ -n "$CHECK" ] && for s in $shells; do each $s contexts 0 999; done
all fuzz $FROM $FUZZ
k=0
while [ $k -lt $GARBAGE ]; do
	all garbage $((FROM + k)) 60
	k=$((k + 60))
done
echo "tmpl.t.sh: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
