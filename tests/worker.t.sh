# SPDX-License-Identifier: MIT
# The loop on real jobs (SPEC 4, OURS 5).
. tests/lib.sh

place exits
for i in 0 1 2; do "$lt" submit --max-retries 1 -- --code $i >/dev/null 2>&1; done
ok "failed tasks do not end the loop" status 0 "$lt" loop -- sh -c 'echo "code $1" >&2; exit $1' x '%(code)'
ok "one succeeded" same "$(count success)" 1
ok "two failed" same "$(count failed)" 2
"$lt" task ls --no-pager --fmt jsonl -s failed >failed
ok "the status is reported" has 'non-zero exit code: 2' failed
ok "with the output" has 'code 2' failed
"$lt" submit --max-retries 1 -- --sig 9 >/dev/null 2>&1
ok "a signal" status 0 "$lt" loop -- sh -c 'kill -$1 $$' x '%(sig)'
ok "is a failure" same "$(count failed)" 3
"$lt" submit --max-retries 1 -- --nosuch 1 >/dev/null 2>&1
ok "a command that is not there" status 0 "$lt" loop -- ./nosuchcommand '%(nosuch)'
ok "fails the task" same "$(count failed)" 4

place crashed
for i in 1 2 3 4 5; do "$lt" submit --max-retries 1 -- --i $i >/dev/null 2>&1; done
ok "three failures crash the worker, which is told apart" status 3 "$lt" loop -- sh -c 'exit 1' x '%(i)'
ok "the rest of the queue is not burnt" same "$(count pending)" 2

place retried
"$lt" submit --max-retries 3 -- --i 1 >/dev/null 2>&1
ok "a failure is tried again" status 0 "$lt" loop -- sh -c 'mkdir once 2>/dev/null && exit 1; exit 0' x '%(i)'
ok "and may succeed" same "$(count success)" 1
"$lt" task ls --no-pager --fmt jsonl >ls
ok "charged once" has '"retries": *1,' ls

place environment
"$lt" submit --task-name named -- --i 1 --j "a b" >/dev/null 2>&1
cat >job.sh <<'J'
echo "task=$LABTASKER_TASK_ID worker=$LABTASKER_WORKER_ID"
echo "log=$LABTASKER_LOG_DIR root=$LABTASKER_ROOT pw=${LABTASKER_PASSWORD-none}"
ls -l /proc/self/fd | grep -v -e '/fd$' -e 'job\.sh$' | sed -n 's/.* \([0-9]*\) -> .*/fd \1/p'   # but for those of ls and sh
[ -t 0 ] || read -r line || echo "stdin is at its end"
printf '\033[31mred\033[0m\n'
echo "args $1/$2"
ls "$LABTASKER_LOG_DIR"
grep -i -e SigBlk -e SigIgn /proc/self/status
J
ok "loop" status 0 env LABTASKER_PASSWORD_FILE=.labtasker/password "$lt" loop -- sh job.sh '%(i)' '%(j)'
ok "ids are given" sh -c "grep -Eq 'task=[0-9a-f-]{36} worker=[0-9a-f-]{36}' out"
ok "directories are absolute" sh -c "grep -Eq 'log=/.* root=/.* pw=none' out"
ok "stdin is /dev/null" has 'stdin is at its end' out
ok "one argument stays one" has 'args 1/a b' out
run=$(ls -d .labtasker/logs/run/run_t*_nnamed_id*_rd*)
ok "the run directory" test -d "$run"
ok "its name" sh -c "echo '$run' | grep -Eq 'run_t[0-9]{4}(-[0-9]{2}){5}_nnamed_id[0-9a-f-]{36}_rd[0-9a-f]{8}\$'"
ok "heartbeat.lock was there" has heartbeat.lock out
ok "and is gone" test ! -e "$run/heartbeat.lock"
ok "run.log holds the output" has 'args 1/a b' "$run/run.log"
ok "without ANSI sequences" has '^red$' "$run/run.log"
ok "status.json" has success "$run/status.json"
ok "summary.json says what it took" has '"wall_time": [0-9.]*' "$run/summary.json"
ok "task_info.json" has '    "task_name": "named",' "$run/task_info.json"
if [ -r /proc/self/fd ]; then
	ok "descriptors 0 to 2 only" same "$(grep '^fd ' out | tr '\n' ' ')" 'fd 0 fd 1 fd 2 '
	ok "no signal is blocked" has 'SigBlk:.*0000000000000000' out
	ok "none is ignored, but for two of glibc's own" has 'SigIgn:.*0000000[01][08]0000000$' out
fi

place string
"$lt" submit -- --s "it's; touch bad" >/dev/null 2>&1
ok "a command string" status 0 "$lt" loop -c "printf '<%s>' %(s) && printf '[%s]' '%(s)' \"%(s)\""
ok "its values are quoted" same "$(cat out)" "<it's; touch bad>[it's; touch bad][it's; touch bad]"
ok "nothing else was run" test ! -e bad
"$lt" submit -- --s 2 >/dev/null 2>&1
echo 'echo "script says %(s)"' >script
ok "a script" status 0 "$lt" loop --script-path script
ok "is run" has 'script says 2' out
"$lt" submit -- --s 3 >/dev/null 2>&1
echo 'echo stdin says %(s)' | "$lt" loop >out 2>err
ok "the command from stdin" has 'stdin says 3' out
"$lt" submit --max-retries 1 --args '{"s": null}' >/dev/null 2>&1
ok "null fails the task" status 0 "$lt" loop -c 'touch ran %(s)'
ok "before anything runs" test ! -e ran
ok "as failed" same "$(count failed)" 1

place preempted
"$lt" submit --max-retries 2 -- --i 1 >/dev/null 2>&1
begin "$lt" loop -- sh -c 'trap "echo warned; exit 0" TERM; echo up; while :; do sleep 0.05; done' x '%(i)'
loop=$!
await has up out
kill -TERM $loop
wait $loop
ok "TERM: 143" same $? 143
ok "the job was told" has warned out
"$lt" task ls --no-pager --fmt jsonl >ls
ok "handed back" has '"status": *"pending"' ls
ok "uncharged" has '"retries": *0,' ls
ok "and unowned" has '"worker_id": *null' ls
for o in '' '--warn-signal TERM'; do
	begin "$lt" loop --grace 30 $o -- sh -c 'trap "" TERM; echo up; sleep 20 & wait' x '%(i)'
	loop=$!
	await has up out
	since=$(date +%s)
	kill -TERM $loop
	await has 'ending the job' err
	kill -TERM $loop
	wait $loop
	ok "a second signal hastens${o:+, $o}" same "$? $(($(date +%s) - since < 15))" "143 1"
	ok "handed back again" same "$(count pending)" 1
done
cat >job.sh <<'J'
trap 'sleep 2.2; exit 3' TERM
echo up
while :; do sleep 0.05; done
J
begin "$lt" loop --time-limit 2 -- sh job.sh '%(i)'
loop=$!
await has up out
kill -TERM $loop
wait $loop
ok "--time-limit within the grace" same "$("$lt" task ls --json --fields status,retries)" '{"status":"pending","retries":0}'
cat >job.sh <<'J'
trap '' TERM
"$1" finish --summary '{"kept": 1}'
echo up
while :; do sleep 0.05; done
J
begin "$lt" loop --grace 0.2 -- sh job.sh "$lt" '%(i)'
loop=$!
await has up out
kill -TERM $loop
wait $loop
ok "killed at the end of the grace, after its finish" same "$? $("$lt" task ls --json --fields status,summary.kept)" \
    '143 {"status":"success","summary.kept":1}'

# A batch system tells all processes at once, and the job may be the first to hear it.
place alltold
"$lt" submit --max-retries 2 -- --i 1 >/dev/null 2>&1
cat >job.sh <<'J'
echo $$ >pid
[ -z "$1" ] || trap "exit $1" TERM
echo up
while :; do sleep 0.05; done
J
for way in "" 0 1; do
	for first in job loop; do
		rm -f out pid
		begin "$lt" loop -- sh job.sh "$way" '%(i)'
		loop=$!
		await has up out
		kill -STOP $loop
		if [ $first = job ]; then
			kill -TERM "$(cat pid)"
			[ ! -r /proc/self/status ] || await grep -q 'State:.Z' "/proc/$(cat pid)/status"
		fi
		kill -TERM $loop
		[ $first = job ] || kill -TERM "$(cat pid)"
		kill -CONT $loop
		wait $loop
		ok "told with its job, the $first first: 143" same $? 143
		"$lt" task ls --no-pager --fmt jsonl >ls
		ok "handed back" has '"status": *"pending"' ls
		ok "uncharged" has '"retries": *0,' ls
	done
done
rm -f out
begin "$lt" loop -- sh job.sh "" '%(i)'
loop=$!
await has up out
kill -TERM "$(cat pid)"
await gone "$(cat pid)"
kill -TERM $loop
wait $loop
ok "told a little later" same $? 143
"$lt" task ls --no-pager --fmt jsonl >ls
ok "uncharged too" has '"retries": *0,' ls
ok "a job that died of TERM by itself" status 0 "$lt" loop --once -- sh -c 'kill -TERM $$' x '%(i)'
"$lt" task ls --no-pager --fmt jsonl >ls
ok "has failed" has '"retries": *1,' ls

place orphans
"$lt" submit -- --i 1 >/dev/null 2>&1
begin "$lt" loop -- sh -c 'echo $$ >pid; sleep 1000 & echo $! >child; wait' x '%(i)'
loop=$!
await test -s child
kill -9 $loop
await gone "$(cat pid)"
ok "kill -9 of the loop ends its job" gone "$(cat pid)"
await gone "$(cat child)"
ok "and the job's children" gone "$(cat child)"

place lease
"$lt" submit --max-retries 3 -- --i 1 >/dev/null 2>&1
begin "$lt" loop --heartbeat-timeout 1 -- sh -c 'echo up; sleep 1000' x '%(i)'
loop=$!
await has up out
kill -9 $loop
lapsed() { [ "$(count pending)" -eq 1 ]; }
ok "a dead node's task comes back by its lease" await lapsed
"$lt" task ls --no-pager --fmt jsonl >ls
ok "charged once" has '"retries": *1,' ls
ok "with the reason" has labtasker_error ls
"$lt" loop --heartbeat-timeout 1 -- sh -c 'sleep 3; echo done' x '%(i)' >out 2>err </dev/null
ok "heartbeats keep a lease" same "$(count success)" 1

place frozen
"$lt" submit --max-retries 3 -- --i 1 >/dev/null 2>&1
begin "$lt" loop --heartbeat-timeout 1 -- sh -c 'echo $$ >pid; echo up; sleep 1000' x '%(i)'
loop=$!
await has up out
kill -STOP -"$(cat pid)"
kill -STOP $loop
ok "a node that stands still loses its task" await lapsed
"$lt" loop -- sh -c 'echo second' x '%(i)' >out2 2>err2 </dev/null
ok "which another runs" same "$(count success)" 1
kill -CONT $loop
wait $loop
ok "back again, the late job is stopped" gone "$(cat pid)"
ok "and said to be no longer ours" has 'nothing is reported' err
"$lt" task ls --no-pager --fmt jsonl >ls
ok "the newer run stands" has '"status": *"success"' ls
ok "charged once" has '"retries": *1,' ls

place grandchild
"$lt" submit -- --i 1 >/dev/null 2>&1
ok "a grandchild that keeps the output does not hold the task" status 0 "$lt" loop -- sh -c 'sleep 1000 & echo quick' x '%(i)'
ok "which succeeded" same "$(count success)" 1

place cancelled
id=$("$lt" submit -- --i 1 2>/dev/null)
begin "$lt" loop --heartbeat-timeout 3 -- sh -c 'echo up; sleep 1000' x '%(i)'
loop=$!
await has up out
sed -n 's/.*"url": *"unix:\([^"]*\)".*/\1/p' .labtasker/server.json >sock
if command -v curl >/dev/null; then
	curl -s --unix-socket "$(cat sock)" -u "default:$(cat .labtasker/password)" -H 'Content-Type: application/json' \
	    -d '{"status":"cancelled"}' "http://localhost/api/v1/queues/me/tasks/$id/status" >/dev/null
	wait $loop
	ok "a cancelled task's job is stopped" same $? 0
	ok "and nothing is reported" same "$(count cancelled)" 1
	ok "as it is said" has 'the task was cancelled, .*nothing is reported' err
else
	kill -TERM $loop
fi

place hung
"$lt" submit -- --i 1 >/dev/null 2>&1
begin "$lt" loop --heartbeat-timeout 3 -- sh -c 'i=0; while [ $i -lt 40 ]; do echo "line $i"; i=$((i+1)); sleep 0.05; done' x '%(i)'
loop=$!
await has 'line 2' out
server=$(owner)
kill -STOP "$server"
ok "a hung server does not hold back the output" await has 'line 39' out
kill -CONT "$server"
wait $loop
ok "and the task ends well" same $? 0
ok "as success" same "$(count success)" 1
"$lt" submit -- --i 2 >/dev/null 2>&1
begin "$lt" loop --grace 0.1 -- sh -c 'echo $$; until [ -f go ]; do sleep 0.05; done' x '%(i)'
loop=$!
await test -s out
kill -STOP "$server"
: >go
await gone "$(cat out)"   # now it reports, and fetches
sleep 0.2
since=$(date +%s)
kill -TERM $loop
wait $loop
ok "a loop that waits for an answer ends soon after TERM" same "$? $(($(date +%s) - since < 20))" "143 1"
ok "and says where the report is" has 'left to its lease; its report stays in /' err
ok "which is there" has '"reported": false' "$(sed -n 's/.*its report stays in //p' err)/status.json"
kill -CONT "$server"
"$lt" submit -- --i 3 >/dev/null 2>&1
begin "$lt" loop --wait -- echo 'ran %(i)'
loop=$!
await has 'ran 3' out
idle() { [ "$(count running)$(count pending)" = 00 ]; }
await idle
sleep 0.2
kill -STOP "$server"
since=$(date +%s)
kill -USR2 $loop
wait $loop
ok "so does one that waits for tasks, after USR2" same "$? $(($(date +%s) - since < 20))" "75 1"
kill -CONT "$server"

place finished
"$lt" submit --max-retries 1 -- --i 1 >/dev/null 2>&1
ok "a job that says itself how it went" status 0 "$lt" loop -- sh -c 'cd "$LABTASKER_LOG_DIR" && echo "{\"status\": \"failed\"}" >status.json && echo "{\"why\": 42}" >summary.json' x '%(i)'
"$lt" task ls --no-pager --fmt jsonl >ls
ok "is believed" has '"why": *42' ls

if unshare --pid --fork --mount-proc true 2>/dev/null; then
	place one
	for i in 1 2 3 4 5 6; do "$lt" submit -- --i $i >/dev/null 2>&1; done
	cat >job.sh <<'J'
sleep 100 & sleep 100 &
zombies() { grep -l "^State:.Z" /proc/[0-9]*/status | wc -l; }
n=0
until z=$(zombies) && [ "$z" -eq 0 ] || [ $n -eq 200 ]; do n=$((n + 1)); sleep 0.05; done   # they die while we begin
echo $z
J
	ok "as PID 1" status 0 unshare --pid --fork --mount-proc "$lt" loop -- sh job.sh '%(i)'
	ok "no zombie is left by jobs before" same "$(sort -u out)" 0
	ok "every task ended well" same "$(count success)" 6
fi

place pty
"$lt" submit -- --i 1 >/dev/null 2>&1
printf 'x%.0s' 1 2 3 >/dev/null
seq 1 100000 >want
ok "a lot of output arrives whole" sh -c '"$0" loop -- sh -c "seq 1 100000 # \$1" x "%(i)" </dev/null 2>err | cmp - want' "$lt"

place stuck
mkfifo output
exec 7<>output
cat >job.sh <<'END'
yes &
until [ -e full ]; do sleep 0.1; done
echo $$ >pid
exit 0
END
full() { [ "$(cat .labtasker/logs/run/*/run.log | wc -c)" -gt 270000 ]; }
ended() { [ -s pid ] && gone "$(cat pid)"; }
# stuck OPTION...: a job that has ended well, while nobody reads its output.
stuck() {
	rm -rf full pid .labtasker/logs
	"$lt" submit -- --s 1 >/dev/null 2>&1 7<&-
	"$lt" loop --no-use-pty "$@" -- sh job.sh '%(s)' >output 2>err </dev/null 7<&- &
	loop=$!
	await full
	touch full
	await ended
}
stuck
kill -TERM $loop
await grep -q 'signal 15' err
exec 7<&-
wait $loop
ok "a signal after the end of a job whose output is not read" same "$? $(count success)" "143 1"
exec 7<>output
stuck --time-limit 8
sleep 8.1
exec 7<&-
wait $loop
ok "--time-limit after it" same "$? $(count success)" "0 2"
ok "is not over" hasnt 'time-limit' err
