#!/bin/sh
# SPDX-License-Identifier: MIT
# Has the shells of this machine run what tests/tmpl.c expanded: every context with every nasty value, random nestings, and random
# tokens around values that would run touch if they could.  The words args sees must be exact, and no file may appear.
#   FUZZ=N, GARBAGE=N: how many random scripts; FROM=N: their first seed
BIN=${BIN:-tests/bin} FUZZ=${FUZZ:-8} GARBAGE=${GARBAGE:-60} FROM=${FROM:-1}
case $BIN in /*) ;; *) BIN=$PWD/$BIN ;; esac
tmpl=$BIN/tmpl
passed=0 failed=0 shells=
base=$(mktemp -d) || exit 2
trap 'rm -rf "$base"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$base/empty" && cd "$base/empty" || exit 2

for s in sh dash bash busybox mksh zsh; do
	if command -v $s >/dev/null 2>&1; then
		shells="$shells $s"
	else
		echo "tmpl.t.sh: skipped: $s is not installed"
	fi
done

# args prints each of its arguments between < and >.
head='args() { for a_ do printf "<%s>" "$a_"; done; echo; }'
mksh_head='args() { for a_ do print -nr -- "<$a_>"; done; print; }'

# run SHELL TEXT
run() {
	case $1 in
	busybox) busybox sh -c "$head
$2" ;;
	mksh) mksh -c "$mksh_head
$2" ;;
	*) "$1" -c "$head
$2" ;;
	esac
}

clean() {
	[ -z "$(ls -A)" ] && return
	echo "tmpl.t.sh: failed: $1: these files appeared:" *
	rm -rf "$base/empty/"* "$base/empty/".[!.]*
	return 1
}

count() {
	if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

# exact NAME TEXT WANT: each shell prints what the file WANT holds, and nothing appears.
exact() {
	for s in $shells; do
		run $s "$2" >"$base/got" 2>"$base/err" </dev/null
		r=0
		cmp -s "$3" "$base/got" || {
			r=1
			echo "tmpl.t.sh: failed: $1 in $s:"
			diff "$3" "$base/got" | head -n 6
			head -n 3 "$base/err"
		}
		clean "$1 in $s" || r=1
		count $r
	done
}

k=0
while "$tmpl" --want $k >"$base/want"; do
	text=$("$tmpl" --text $k) || count 1
	exact "context $k" "$text" "$base/want"
	k=$((k + 1))
done
k=$FROM
while [ $k -lt $((FROM + FUZZ)) ]; do
	"$tmpl" --fuzz-want $k >"$base/want"
	text=$("$tmpl" --fuzz $k) || count 1
	exact "fuzz $k" "$text" "$base/want"
	k=$((k + 1))
done
k=$FROM
while [ $k -lt $((FROM + GARBAGE)) ]; do
	text=$("$tmpl" --garbage $k)
	for s in $shells; do
		run $s "$text" >/dev/null 2>&1 </dev/null
		if [ -e X ]; then
			echo "tmpl.t.sh: failed: garbage $k in $s ran its value:"
			echo "$text"
			count 1
		else
			count 0
		fi
		rm -rf "$base/empty/"* "$base/empty/".[!.]*
	done
	k=$((k + 1))
done
echo "tmpl.t.sh: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
