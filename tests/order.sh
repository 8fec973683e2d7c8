#!/bin/sh
# SPDX-License-Identifier: MIT
# The order of use, which DESIGN has: within a room a file calls only files named before it, rooms know the ground floor and not each
# other, but for cli, which may call what is named below, and the ground floor knows no room.  Read off the objects that run.sh made.
BIN=${BIN:-tests/bin}

# names ROOM PREFIX: the files of a room as objects are called: in DESIGN they stand, indented, below the line that begins with its name.
names() {
	sed -n '/^The house/,/^  A header/p' DESIGN | awk -v room="$1" -v prefix="$2" '
		/^  [a-z]/ { on = $1 == room; next }
		on { for (i = 1; i <= NF; i++) print prefix $i }'
}
ground=$(names ground) server=$(names server server_) worker=$(names worker worker_) cli=$(names cli cli_)
all=" $(echo labtasker $ground $server $worker $cli) "
passed=0 failed=0
sep=$(mktemp -d) || exit 2
trap 'rm -rf "$sep"' EXIT

for o in "$BIN"/*.o; do
	f=$(basename "$o" .o)
	nm -P -g "$o" | awk '$2 != "U" && $2 != "w" { print $1 }' | sort >"$sep/$f.def"
	nm -P -u "$o" | awk '{ print $1 }' | sort >"$sep/$f.use"
	case $all in
	*" $f "*) ;;
	*) echo "order: $f.c is in no room's order: name it in DESIGN"; failed=$((failed + 1)) ;;
	esac
done

# may FILE ALLOWED...: FILE uses nothing that another of ours outside ALLOWED defines.
may() {
	file=$1
	shift
	[ -f "$sep/$file.use" ] || return
	for d in "$sep"/*.def; do
		other=$(basename "$d" .def)
		case " $file $* " in *" $other "*) continue ;; esac
		both=$(comm -12 "$sep/$file.use" "$d" | tr '\n' ' ')
		if [ -n "$both" ]; then
			echo "order: $file.c uses $both of $other.c, which stands after it or in another room"
			failed=$((failed + 1))
		else
			passed=$((passed + 1))
		fi
	done
}

room() {
	before=$1
	shift
	for f; do
		may "$f" $before
		before="$before $f"
	done
}
room "" $ground
room "$ground" $server
room "$ground" $worker
room "$ground worker_recipe worker_loop server_serve" $cli
echo "order: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
