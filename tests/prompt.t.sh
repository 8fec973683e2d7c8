# SPDX-License-Identifier: MIT
# The question after a failure, at a terminal played by tests/pty.c: every key, signals, and that the terminal's modes come back.
. tests/lib.sh
pty=$top/${BIN:-tests/bin}/pty
[ -x "$pty" ] || pty=$BIN/pty

"$pty" -s /dev/null true || { echo "SKIPPED: there are no pseudo-terminals here" >&2; exit; }
command -v stty >/dev/null || { echo "SKIPPED: there is no stty here" >&2; exit; }
export TERM=dumb COLUMNS=200

place prompt
cat >at.sh <<'S'
trap : TERM INT
stty -g >before
"$@"
rc=$?
stty -g >after
exit $rc
S
# ask NAME STATUS WANT [OPTION...]: plays the steps on standard input to a loop whose job fails; WANT is what becomes of the task.
ask() {
	what=$1 want=$2 then=$3
	shift 3
	cat >steps
	id=$("$lt" submit --max-retries 1 -- --job "${job:-exit 7}" 2>/dev/null)
	"$pty" -s steps sh at.sh "$lt" loop "$@" -c 'exec sh -c %(job)' >out 2>err
	ok "$what: exit status" same $? "$want"
	ok "$what: the task" same "$("$lt" task get "$id" --json --fields status,retries,worker_id)" "$then"
	ok "$what: the terminal is as before" cmp before after
	[ $failed -eq "${seen:-0}" ] || cat out err
	seen=$failed
	"$lt" task delete -y -q "$id"
}
reported='{"status":"failed","retries":1,"worker_id":null}'
ignored='{"status":"pending","retries":0,"worker_id":null}'

ask "Enter, Enter: report, go on" 0 "$reported" <<'S'
expect The task failed.
expect (Report in 10 s)
send \r
expect Go on with the next task?
expect (Continue in 10 s)
send \r
S
ask "i, e: ignore, exit" 130 "$ignored" <<'S'
expect (Report in
send i
expect (Continue in
send e
S
ask "R, C" 0 "$reported" <<'S'
expect (Report in
send R
expect (Continue in
send C
S
ask "to the right, to the right" 130 "$ignored" <<'S'
expect (Report in
send \x1b[C\r
expect (Continue in
send \x1b[C\r
S
ask "down and up, as an application's keys" 0 "$reported" <<'S'
expect (Report in
send \x1bOB\x1bOA\r
expect (Continue in
send \x1b[B\x1b[A\n
S
ask "to the right and to the left, a tab, a blank" 130 "$ignored" <<'S'
expect (Report in
send \x1b[C\x1b[D\x09\r
expect (Continue in
send \x20\r
S
ask "Ctrl-C, Ctrl-C" 130 "$ignored" <<'S'
expect (Report in
send \x03
expect (Continue in
send \x03
S
ask "other keys are none; it counts down" 0 "$reported" <<'S'
expect (Report in 10 s)
send xq\x1b[5~\x1b[1;5H
expect (Report in 9 s)
send r
expect (Continue in 10 s)
send \r
S
ask "TERM at the question" 143 "$ignored" <<'S'
expect (Report in
kill 15
expect signal 15
S
ask "HUP at the next question" 129 "$reported" <<'S'
expect (Report in
send r
expect (Continue in
kill 1
expect signal 1:
S
ask "--on-failure report" 0 "$reported" --on-failure report <<'S'
expect exit status 7
S
ok "asks nothing" hasnt 'The task failed' out
job='sleep 30 & echo up; wait'   # dash may lose an INT just before it starts a command
ask "Ctrl-C at a job with a terminal of its own" 130 "$reported" <<'S'
expect up
send \x03
expect (Report in
send r
S
ok "then it ends" hasnt 'Go on' out
ask "Ctrl-C at a job without one" 130 "$ignored" --no-use-pty <<'S'
expect up
send \x03
expect (Report in
send i
S
ok "then it ends too" hasnt 'Go on' out
ask "TERM at a job with the terminal" 143 "$ignored" <<'S'
expect up
kill 15
expect signal 15
S
ask "Ctrl-C, and TERM at the question" 130 "$ignored" <<'S'
expect up
send \x03
expect (Report in
kill 15
S
job='trap "exit 0" INT; echo up; sleep 30 & wait'
for o in --use-pty --no-use-pty; do
	ask "Ctrl-C at a job that makes a success of it, $o" 130 '{"status":"success","retries":0,"worker_id":null}' $o <<'S'
expect up
send \x03
S
done
job='echo up; sleep 30 & wait'
ask "Ctrl-C where nothing is asked" 130 "$reported" --on-failure report <<'S'
expect up
send \x03
S
for n in 1 2; do "$lt" submit --max-retries 1 --name both -- --n $n >/dev/null 2>&1; done
cat >steps <<'S'
expect begun
expect begun
send \x03
S
"$pty" -s steps sh at.sh "$lt" loop -j 2 --use-pty -- sh -c 'sleep 20 & echo "begun $1"; wait' x '%(n)' >out 2>err
ok "Ctrl-C at two jobs with terminals of their own" same $? 130
ok "both are ended and handed back" same "$("$lt" task ls --name both --json --fields status,retries | sort -u)" '{"status":"pending","retries":0}'
ok "the terminal is as before" cmp before after
"$lt" task delete -y -q --name both
job='stty raw -echo; exit 7'
ask "a job with our terminal that leaves it raw" 0 "$reported" --stdin --no-use-pty --on-failure report <<'S'
expect exit status 7
S
ok "what follows is no stairs" has "exit status 7$(printf '\r')" out
job=
cat >suspend.sh <<'S'
set -m
"$@"
echo "suspended $?"
fg
echo "ended $?"
S
cat >steps <<'S'
expect up
send \x1a
expect suspended
send there\r
expect got there
expect ended 0
S
"$lt" submit -- --n 1 >/dev/null
ok "Ctrl-Z at a job with our terminal stops the loop too, and fg lets both go on" status 0 "$pty" -s steps sh suspend.sh \
    "$lt" loop --no-use-pty --stdin -- sh -c 'echo up; read -r x; echo "got $x"' x '%(n)'
"$lt" submit -- --n 2 >/dev/null
ok "and at a job with a terminal of its own" status 0 "$pty" -s steps sh suspend.sh \
    "$lt" loop -- sh -c 'echo up; read -r x; echo "got $x"' x '%(n)'
"$lt" submit --args '{"n": "\u001b[31m"}' >/dev/null
ok "--dry-run" status 0 "$pty" -s /dev/null "$lt" loop --dry-run -- echo '%(n)'
ok "shows a terminal no sequences" has "^echo '.x1b.31m'" out
if [ -n "$CHECK" ]; then
	ask "the ends of both countdowns" 0 "$reported" <<'S'
expect (Report in 1 s)
expect (Continue in 10 s)
expect (Continue in 1 s)
S
fi
