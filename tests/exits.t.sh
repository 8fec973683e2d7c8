# SPDX-License-Identifier: MIT
# How a job ends is told exactly: every exit status, every signal, and what a shell says of a command that cannot be run.
. tests/lib.sh
ulimit -c 0

# told: each task's "what status message".
told() {
	"$lt" task ls --json --fields args.x,status,summary.labtasker_exception.message |
	    sed 's/^{"args.x":"*\([^",]*\)"*,"status":"\([a-z]*\)","summary.labtasker_exception.message":\(.*\)}$/\1 \2 \3/' | sort
}
sweep() { "$lt" submit --max-retries 1 --sweep "x=$1" 2>err >ids; }
loop() { status 0 "$lt" loop -j 8 --worker-max-retries 999 "$@"; }

place codes
sweep 0..255
ok "256 exit statuses" loop -- sh -c 'exit $1' x '%(x)'
i=0
while [ $i -lt 256 ]; do
	[ $i -eq 0 ] && echo "0 success null" || echo "$i failed \"Error running command: Job process finished with non-zero exit code: $i\""
	i=$((i + 1))
done | sort >want
told >got
ok "each is told as it was" cmp want got
ok "on stderr too" same "$(grep -c ': failed: exit status [0-9]*$' err)" 255

place signals
for s in HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM XCPU XFSZ VTALRM PROF SYS; do
	sh -c "kill -$s \$\$"
	n=$?
	[ $n -gt 128 ] || continue   # there is none of that name here
	echo "$s failed \"Error running command: Job process was ended by signal $((n - 128))\""
done 2>shell | sort >want
sweep "$(sed 's/ .*//' want | tr '\n' , | sed 's/,$//')"
ok "signals" loop -- sh -c 'kill -$1 $$' x '%(x)'
told >got
ok "each is told by its number" cmp want got
ok "there are many" test "$(lines want)" -gt 15

place none
echo 'exit 0' >plain
mkdir dir
sweep ./plain,./dir,./none,nosuchcommand
mkdir locked && chmod 0 locked   # what is there, if anything, root alone could say
ok "commands that cannot be run" env PATH="$PWD/locked:$PATH" sh -c '"$@" >out 2>err </dev/null' x "$lt" loop -j 8 --worker-max-retries 999 -- '%(x)'
chmod 700 locked
told | sed 's/: [^:]*, exit/: WHY, exit/' >got
cat >want <<'W'
./dir failed "Error running command: ./dir: WHY, exit code: 126"
./none failed "Error running command: ./none: WHY, exit code: 127"
./plain failed "Error running command: ./plain: WHY, exit code: 126"
nosuchcommand failed "Error running command: nosuchcommand: WHY, exit code: 127"
W
ok "are told as a shell would" cmp want got
"$lt" submit --max-retries 9 -- --x ./none >/dev/null 2>&1
ok "--fail-exit 127" status 0 "$lt" loop --fail-exit 127 -- '%(x)'
ok "holds for them" same "$("$lt" task ls --json -f 'max_retries == 9' --fields status,retries)" '{"status":"failed","retries":9}'
"$lt" submit -- --x ./plain >/dev/null 2>&1
ok "so does --requeue-exit 126" status 4 "$lt" loop --requeue-exit 126 --max-failures 1 -- '%(x)'
ok "which hands back" same "$(count pending)" 1
