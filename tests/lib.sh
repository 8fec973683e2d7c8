# SPDX-License-Identifier: MIT
# Sourced by tests/*.t.sh: a fresh directory as the place to be, checks that count, and an end that leaves no server behind.
lt=${LABTASKER:-$PWD/labtasker}
case $lt in /*) ;; *) lt=$PWD/$lt ;; esac
top=$PWD
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE
unset LABTASKER_WORKER_ID LABTASKER_TASK_ID LABTASKER_LOG_DIR LABTASKER_SLOT http_proxy no_proxy
name=$(basename "$0")
base=$(cd "$(mktemp -d)" && pwd -P) || exit 2
passed=0 failed=0
umask 022

# The pid that a store's owner file names.
owner() { sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "${1:-.labtasker}/owner" 2>/dev/null; }
finish() {
	find "$base" -name owner | while read -r f; do
		kill "$(owner "$(dirname "$f")")" 2>/dev/null
	done
	t=0
	while [ -n "$(find "$base" -name owner 2>/dev/null)" ] && [ $t -lt 30 ]; do sleep 0.1; t=$((t + 1)); done
	cd / && chmod -R u+rwx "$base" && rm -rf "$base"
	echo "$name: $passed passed, $failed failed${skipped:+; SKIPPED: $skipped}"
	[ "$failed" -eq 0 ] || exit 1
}
trap finish EXIT
trap 'exit 1' INT TERM HUP
# place NAME: a fresh directory.
place() { mkdir -p "$base/$1" && cd "$base/$1" || exit 2; }
# ok NAME COMMAND...
ok() {
	what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "$name: failed: $what: $*"
	fi
}
same() { [ "$1" = "$2" ] || { echo "got '$1', expected '$2'"; false; }; }
has() { grep -q -e "$1" "$2" || { echo "no '$1' in $2:"; cat "$2"; false; }; }
hasnt() { ! grep -q -e "$1" "$2" || { echo "'$1' in $2:"; cat "$2"; false; }; }
lines() { wc -l <"$1" | tr -d ' '; }
# status N COMMAND...: it ends with that status; out and err keep what it printed.
status() {
	want=$1
	shift
	"$@" >out 2>err </dev/null
	got=$?
	[ "$got" -eq "$want" ] || { echo "exit status $got, expected $want: $*"; cat out err; false; }
}
# begin COMMAND...: in the background, as $!.  What one before it said is gone, and not taken for its sign of life.
begin() {
	: >out
	: >err
	"$@" >out 2>err </dev/null &
}
# await COMMAND...: until it is true, 20 s at most, or $patience.
await() {
	n=0
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		[ $n -lt $((${patience:-20} * 20)) ] || { echo "waited in vain for: $*"; return 1; }
		sleep 0.05
	done
}
# address [STORE]: the URL in its server.json.
address() { sed -n 's/.*"url": *"\([^"]*\)".*/\1/p' "${1:-store}/server.json"; }
# serve_port [PORT]: a server of ./store on TCP, as $server and $url; what it says is in serve.err.
serve_port() {
	"$lt" serve --host 127.0.0.1 --port "${1:-0}" --store store 2>serve.err </dev/null &
	server=$!
	await grep -q "\"pid\": *$server[,}]" store/server.json
	url=$(address)
}
count() { "$lt" task ls --no-pager -q -s "$1" | wc -l | tr -d ' '; }
gone() { ! kill -0 "$1" 2>/dev/null; }
