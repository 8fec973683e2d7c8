# SPDX-License-Identifier: MIT
# The loop's options: how many jobs, how they end, when it ends.
. tests/lib.sh

submit() { "$lt" submit "$@" >/dev/null 2>&1; }
fields() { "$lt" task ls --no-pager --fmt jsonl "$@" >ls; }

# cpu NAME COMMAND...: it takes hardly any time of a processor.
cpu() {
	what=$1
	shift
	times >before
	"$@"
	times >after
	ok "$what" same "$(cat before after | awk 'NR % 2 == 0 { gsub(/[ms]/, " "); t = $1 * 60 + $2 + $3 * 60 + $4 - t } END { print t < 0.8 ? "idle" : t " s" }')" idle
}

# In the background: what this comes to is looked at in the end.
place rests
submit -- --n 1
cat >job.sh <<'J'
date +%s >>runs
[ "$(wc -l <runs)" -gt 2 ] || exit 75
J
begin "$lt" loop -j 2 --wait --max-tasks 3 --requeue-exit 75 -- sh job.sh '%(n)'
resting=$!

place unfit
submit -- --learning_rate 1
ok "a mistyped name" status 0 "$lt" loop -- echo '%(lerning_rate)'
ok "is no empty queue, and what to do is said" has 'some are pending: `labtasker explain' err
"$lt" task cancel -q -s pending
ok "an empty queue" status 0 "$lt" loop -- echo '%(lerning_rate)'
ok "is one" same "$(cat err)" ""

place slots
for i in 1 2 3 4; do submit -- --n $i; done
ok "-j 2" status 0 "$lt" loop -j 2 --slot-env 'GPU=a,b' -- sh -c 'mkdir slot$LABTASKER_SLOT || exit 1; echo $GPU$LABTASKER_SLOT; sleep 0.1; rmdir slot$LABTASKER_SLOT' x '%(n)'
ok "every task ran once" same "$(lines out)" 4
ok "a slot has its value, and a prefix" same "$(sort -u out | tr '\n' ' ')" "[0] a0 [1] b1 "
ok "all succeeded" same "$(count success)" 4
submit -- --n 1
ok "--no-prefix" status 0 "$lt" loop -j 2 --no-prefix -- printf 'no newline' '%(n)'
ok "leaves output as it is" same "$(cat out)" "no newline"

place statuses
submit -- --n 1
ok "--requeue-exit hands back" status 4 "$lt" loop --requeue-exit 75,143 --max-failures 1 -- sh -c 'exit 75' x '%(n)'
fields
ok "the task waits" has '"status":"pending"' ls
ok "uncharged" has '"retries":0' ls
ok "a signal counts as 128 and its number" status 4 "$lt" loop --requeue-exit 143 --max-failures 1 -- sh -c 'kill $$' x '%(n)'
ok "which is handed back too" same "$(count pending)" 1
ok "a task put back is taken again after others, and a pause" status 0 "$lt" loop --requeue-exit 75 -- sh -c 'mkdir once 2>/dev/null && exit 75; exit 0' x '%(n)'
ok "then it may succeed" same "$(count success)" 1
submit --max-retries 9 -- --n 2
ok "--fail-exit" status 0 "$lt" loop --fail-exit 3 -- sh -c 'exit 3' x '%(n)'
fields -s failed
ok "fails for good" has '"retries":9' ls
ok "with the reason" has 'exit code: 3' ls
submit --max-retries 1 -- --n 3
ok "--time-limit" status 0 "$lt" loop --time-limit 0.3 --grace 5 -- sh -c 'sleep 60' x '%(n)'
fields -s failed
ok "ends a job, which has failed" has TimeLimit ls
submit -- --n 4
ok "--on-failure ignore" status 4 "$lt" loop --on-failure ignore --max-failures 1 -- sh -c 'exit 9' x '%(n)'
fields -s pending
ok "puts the task back" has '"retries":0' ls
ok "a bad list of statuses" status 2 "$lt" loop --fail-exit 300 -- true
ok "is named" has 'Invalid value for --fail-exit' err

place ends
for i in 1 2 3 4 5; do submit --max-retries 1 -- --n $i; done
ok "--once" status 0 "$lt" loop --once -- true '%(n)'
ok "runs one" same "$(count success)" 1
ok "--max-tasks 2" status 0 "$lt" loop --max-tasks 2 -- true '%(n)'
ok "runs two" same "$(count success)" 3
ok "--max-failures" status 4 "$lt" loop --max-failures 1 -- false '%(n)'
ok "ends after so many" same "$(count failed)" 1
ok "--until now" status 75 "$lt" loop --until +1s --grace 2 -- true '%(n)'
ok "fetches nothing" same "$(count pending)" 1
ok "--min-left" status 75 "$lt" loop --until +10s --min-left 60 -- true '%(n)'
SLURM_JOB_END_TIME=$(($(date +%s) + 5)) ok "Slurm's end of the job" status 75 "$lt" loop --grace 8 -- true '%(n)'
ok "--until warns the job and hands back" status 75 "$lt" loop --until +2s --min-left 0.1 --grace 1.5 -- sh -c 'trap "echo told; exit 3" TERM; while :; do sleep 0.05; done' x '%(n)'
ok "it was told" has told out
ok "the task is there" same "$(count pending)" 1
ok "with less than --min-left a fetch is not waited for either" status 75 "$lt" loop --wait --until +9s --min-left 8 --grace 0 -- true '%(none)'
ok "which is said" has 'less than 8 s is left' err
SLURM_JOB_END_TIME=9223372036854775807 ok "an end that no clock tells" status 0 "$lt" loop -- true '%(none)'
unset SLURM_JOB_END_TIME
ok "a wrong time" status 2 "$lt" loop --until sometime -- true
ok "one too far away" status 2 "$lt" loop --until +1e300 -- true
for o in '--grace -1' '--grace 1e99' '--wait=-1' '--max-tasks 0' '--max-failures -1' '-j 3 --slot-env GPU=0,1'; do
	ok "$o" status 2 "$lt" loop $o -- true
	ok "is said" has 'Invalid value for --' err
done

place warned
submit -- --n 1
cat >job.sh <<'J'
trap 'echo warned; exit 0' USR1
echo up
while :; do sleep 0.05; done
J
begin "$lt" loop --warn-signal sigusr1 --grace 20 -- sh job.sh '%(n)'
loop=$!
await has up out
kill -TERM $loop
wait $loop
ok "TERM: 143 after a warning" same $? 143
ok "the job was warned" has warned out
ok "exit status 0 after the warning alone is success" same "$(count success)" 1
submit -- --n 2
: >out
begin "$lt" loop -- sh -c 'echo up; while [ ! -f go ]; do sleep 0.05; done; echo done' x '%(n)'
loop=$!
submit -- --n 3
await has up out
kill -USR2 $loop
await has 'no more tasks' err
kill -USR2 $loop
: >go
wait $loop
ok "USR2 lets the job end: 75" same $? 75
ok "and is told once" same "$(lines err)" 1
ok "and takes no more" same "$(count success) $(count pending)" "2 1"
cat >job.sh <<'J'
trap 'echo told; exit 3' TERM
echo up
for i in 1 2 3 4 5 6 7 8 9; do sleep 0.5; done
J
begin "$lt" loop --until +4s --min-left 0.1 --grace 2 -- sh job.sh '%(n)'
loop=$!
await has up out
kill -USR2 $loop
wait $loop
ok "the end of the time is seen then, too" same "$? $(tail -n 1 out) $(count pending)" "75 told 1"

place waiting
submit -- --n 1
begin "$lt" loop --wait -- sh -c 'echo "ran $1"' x '%(n)'
loop=$!
await has 'ran 1' out
submit -- --n 2
ok "--wait: a new task is run" await has 'ran 2' out
both() { [ "$(count success)" = 2 ]; }
await both
kill -TERM $loop
wait $loop
ok "a waiting loop ends at once" same $? 143
ok "nothing is left running" same "$(count success) $(count running)" "2 0"
ok "--wait=IDLE ends by itself" status 0 "$lt" loop --wait=0.3 -- true '%(n)'
submit -- --n 1
begin "$lt" loop -j 2 --wait=0.3 -- sh -c 'echo "ran $1"; [ $1 = 2 ] && : >second; until [ -f second ]; do sleep 0.05; done' x '%(n)'
loop=$!
await has 'ran 1' out
sleep 1.5
submit -- --n 2
ok "a free slot waits as long as another works" await has 'ran 2' out
: >second
cpu "and does nothing then" wait $loop

# Who reads our stdout may stop to.
place unread
mkfifo pipe
exec 7<>pipe
submit -- --n 1
"$lt" loop -- sh -c 'head -c 350000 /dev/zero' x '%(n)' >pipe 2>err </dev/null &
loop=$!
sleep 1.2
cat <&7 >read &
reader=$!
cpu "a loop whose output is not read waits for it" wait $loop
kill $reader
ok "and then its task succeeds" same "$(count success)" 1
back() { [ "$(count pending)" = 1 ]; }
for o in '' --pipe; do
	submit -- --n 2
	"$lt" loop $o --grace 1 --require n -- sh -c 'echo up >&2; yes' x >pipe 2>err </dev/null &
	loop=$!
	await has up err
	sleep 0.3
	kill -TERM $loop
	ok "TERM hands the task back though nobody reads on${o:+, $o}" await back
	cat <&7 >read &
	reader=$!
	await gone $loop
	wait $loop
	ok "and ends the loop" same $? 143
	kill $reader
	"$lt" task delete -yq "$("$lt" task ls -q -s pending)"
done
exec 7<&-

place away
serve_port
LABTASKER_API_BASE_URL=$url LABTASKER_QUEUE_NAME=q LABTASKER_PASSWORD=p
export LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD
"$lt" queue create --queue-name q --password p >out
submit --priority 20 -- --n 1
submit -- --n 3
mkdir -p .labtasker
printf '[task]\nheartbeat_interval = 0.2\n' >.labtasker/client.toml
cat >job.sh <<'J'
echo "ran $1"
while [ $1 = 3 ] && [ ! -f go ]; do sleep 0.05; done
J
begin "$lt" loop -j 2 --no-prefix --wait --max-tasks 3 --heartbeat-timeout 60 -- sh job.sh '%(n)'
loop=$!
await has 'ran 1' out
await has 'ran 3' out
kill -9 $server
ok "a waiting loop says that the server is gone" await has 'trying again' err
sleep 1   # its heartbeats may not get through either, which is no news
serve_port "${url##*:}"
submit -- --n 2
: >go
ok "goes on when it is back" await has 'ran 2' out
wait $loop
ok "to its end" same $? 0
ok "says so, in two lines" same "$(grep -c again err)" 2
submit -- --n 4
begin "$lt" loop -j 2 --no-prefix --wait -- sh -c 'trap : TERM; echo "ran $1"; until [ -f gone ]; do sleep 0.05; done' x '%(n)'
loop=$!
await has 'ran 4' out
"$lt" task cancel -q "$("$lt" task ls -q -s running)"
ok "a job whose task is cancelled" await has 'nothing is reported' err
kill -9 $server
: >gone
sleep 2.3
serve_port "${url##*:}"
submit -- --n 5
ok "may end while the server is gone, too" await has 'ran 5' out
kill $loop
wait $loop
kill $server
unset LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD

place shapes
submit -- --a 1 --b 2
ok "no more" status 0 "$lt" loop -- echo '%(a)'
ok "a task with more args is left" same "$(cat out)" ""
ok "--allow-extra" status 0 "$lt" loop --allow-extra -- echo '%(a)'
ok "takes it" same "$(cat out)" 1
submit -- --a 3 --b 4
ok "--require" status 0 "$lt" loop --require b -- echo '%(a)'
ok "names what the command does not" same "$(cat out)" 3
ok "a shell's -c" status 0 "$lt" loop -- sh -c 'echo %(a)'
ok "is warned about" has 'run as shell text' err
ok "a shell without a name" status 2 "$lt" loop --executable '' -c true
ok "a bad template" status 2 "$lt" loop -- echo 'x %(a'
ok "is shown" has '\^' err

place chdir
mkdir sub
submit -- --n 1
ok "--chdir" status 0 "$lt" loop --chdir sub -- sh -c 'pwd; env' x '%(n)'
ok "is where jobs run" has '/sub$' out
ok "LABTASKER_SLOT" has 'LABTASKER_SLOT=0' out
ok "a directory that is not there" status 2 "$lt" loop --chdir nowhere -- echo
ok "is said" has "chdir: 'nowhere': No such file" err
ok "a file in its place" status 2 "$lt" loop --chdir out -- echo
ok "is said too" has "chdir: 'out': Not a directory" err
submit --max-retries 1 --priority 20 -- --n 3
submit --max-retries 1 -- --n 4
ok "a directory that goes away" status 0 "$lt" loop --chdir sub -- sh -c 'rmdir "$PWD"' x '%(n)'
ok "is named, not the command" has 'failed: sub: No such file' err
submit --task-timeout 77 -- --n 2
ok "the server's limit" status 0 "$lt" loop -- env '%(n)=1'
ok "is told to the job" has 'LABTASKER_TASK_TIMEOUT=77' out
submit -- --n 1
ok "in a job, a loop" status 0 env LABTASKER_TASK_TIMEOUT=/outer LABTASKER_LOG_DIR=/outer "$lt" loop --pipe --require n -- sh -c 'env; read x; echo "{\"status\":\"success\"}"'
ok "does not pass on what is that job's" hasnt /outer out

place terminal
submit -- --n 1
ok "--use-pty" status 0 "$lt" loop --use-pty -- sh -c '[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all three' x '%(n)'
ok "gives the job a terminal" has 'all three' out
submit -- --n 2
ok "20,000 lines through it" status 0 "$lt" loop --use-pty -- sh -c 'i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done' x '%(n)'
i=0
while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done >want
tr -d '\r' <out >got
ok "none is lost" cmp got want
submit -- --n 3
ok "a job that closes it" status 0 "$lt" loop --use-pty -- sh -c 'exec <&- >&- 2>&-; sleep 0.1; echo there >/dev/tty' x '%(n)'
ok "is not told to end, and has it still" same "$(tr -d '\r' <out):$(count success)" there:3

place logs
for i in 1 2 3; do submit --max-retries 1 -- --n $i; done
ok "--log fail-only" status 0 "$lt" loop --log fail-only -- sh -c '[ "$1" != 2 ]' x '%(n)'
ok "keeps the failed run's directory, no other" same "$(ls .labtasker/logs/run | wc -l | tr -d ' ')" 1
ok "with its end" has failed .labtasker/logs/run/run_*/status.json
cat >job.sh <<'J'
cd "$LABTASKER_LOG_DIR" && ls -i >>"$OLDPWD/files" && wc -c <run.log >>"$OLDPWD/logs" && tail -c 2 task_info.json >>"$OLDPWD/ends"
echo "$1"
J
for i in a-long-one-that-must-leave-nothing-behind b ''; do submit -- --word "$i"; done
ok "a slot's directory serves many runs" status 0 "$lt" loop --log fail-only -- sh job.sh '%(word)'
ok "whose logs begin empty" same "$(sort logs | uniq -c | tr -s ' ')" ' 3 0'
ok "and whose tasks are whole" same "$(tr -d '\n' <ends)" '}}}'
if ln job.sh ln.test 2>/dev/null; then
	ok "with the same files, lest ext4 become slow" same "$(sort files | uniq -c | grep -vc '^ *3 ')" 0
	ok "the lock is one of them" same "$(sed -n 's/\([0-9]*\) .*/\1/p' files | sort -u | wc -l | tr -d ' ')" 2
fi
for i in 0 1; do submit --max-retries 1 -- --n $i; done
cat >job.sh <<'J'
[ $1 -eq 1 ] || { rm -rf "$LABTASKER_LOG_DIR"; exit 1; }
sleep 0.3
[ -f "$LABTASKER_LOG_DIR/heartbeat.lock" ] && : >beats
J
ok "a job that removes it, and fails" status 0 "$lt" loop --log fail-only -- sh job.sh '%(n)'
ok "is told once" same "$(grep -c 'No such file' err)" 1
ok "and does not stop the heartbeats of the next" test -f beats
for i in 0 1; do submit -- --n $i; done
ok "a job that leaves a pipe in the place of its log" status 1 "$lt" loop --log fail-only -- \
    sh -c 'cd "$LABTASKER_LOG_DIR" && rm run.log && mkfifo run.log' x '%(n)'
ok "does not hold up the next" has 'run.log: .*: the task is handed back' err
"$lt" task delete -yq "$("$lt" task ls -q -s pending)"
if [ "$(getconf PATH_MAX . 2>err)" = 4096 ]; then
	long=$(printf '%0100d' 0) dir=$PWD/long
	while [ ${#dir} -lt 3880 ]; do dir=$dir/$long; done
	dir=$dir/$(printf "%0$((3999 - ${#dir}))d" 0)
	submit --name "$long" --max-retries 1 -- --n 0
	begin "$lt" loop --wait --log fail-only --log-dir "$dir" -- sh -c 'echo last words; exit 3' x '%(n)'
	loop=$!
	ok "a directory that cannot be renamed" await has 'too long: the run.s files stay in' err
	ok "keeps what is in it" same "$(cat "$(find long -name run.log)")" "last words"
	kill $loop
	wait $loop
fi
submit --max-retries 1 -- --side 1
submit --max-retries 1 -- --side 2
worker=$("$lt" worker create | sed 's/.* //')
for i in 1 2; do
	"$lt" loop --log fail-only --worker-id "$worker" --once -- sh -c 'echo "$LABTASKER_LOG_DIR" >dir$1
	    n=0; until [ -f dir1 ] && [ -f dir2 ] || [ $n -gt 200 ]; do sleep 0.05; n=$((n + 1)); done' x '%(side)' 2>err$i &
done
wait
ok "two loops of one worker do not share a directory" sh -c '[ -s dir1 ] && [ -s dir2 ] && ! cmp -s dir1 dir2'
submit -- --n 4
ok "--log raw, --log-dir" status 0 "$lt" loop --log raw --log-dir here -- printf '\033[31m%s' '%(n)'
ok "keeps sequences" same "$(od -c here/run_*/run.log | head -n 1 | tr -s ' ')" "$(printf '\033[31m4' | od -c | head -n 1 | tr -s ' ')"
submit -- --n 5
ok "--log-max" status 0 "$lt" loop --log-max 1k --log-dir max -- sh -c 'i=0; while [ $i -lt 1000 ]; do echo "line $i"; i=$((i+1)); done' x '%(n)'
ok "ends the log" has 'the log is full' max/run_*/run.log
ok "which stays small" test "$(wc -c <"$(echo max/run_*/run.log)")" -lt 1200
ok "but not what is shown" same "$(lines out)" 1000
submit -- --n 6
ok "a limit to files (ulimit -f)" status 0 sh -c 'ulimit -f 16; exec "$0" loop --log-dir limit -- seq "%(n)" 5000' "$lt"
ok "ends the log, not the loop" same "$(count running)" 0
ok "as it is said" has 'run.log: File too large: some of the job' err
ok "for stdout too" same "$(grep -c 'stdout: File too large' err)" 1
if [ -c /dev/full ]; then
	submit -- --n 7
	"$lt" loop -- echo '%(n)' >/dev/full 2>err
	ok "a full disk there" has 'stdout: No space left on device: some of the jobs' err
fi

place dry
ok "--dry-run without a queue" status 1 "$lt" loop --dry-run -- echo '%(a)'
ok "makes none" test ! -e .labtasker
submit --priority 1 -- --a 'it'\''s $HOME'
submit --priority 5 --task-name urgent -- --a 2
submit -- --a 3 --b 4
submit --args '{"a": null}'
fields >before
ok "--dry-run prints what would run" status 1 "$lt" loop --dry-run -- printf '%s|' '%(a)'
ok "as a shell reads it, in the order of fetches, and what does not fit is left out" same "$(cat out)" \
    "printf '%s|' 2
printf '%s|' 'it'\"'\"'s \$HOME'"
ok "it can be run" same "$(sh out)" "2|it's \$HOME|"
ok "who would fail is said" has 'it would fail: .*null' err
ok "and how many others there are" has '2 of 4 pending tasks would run; labtasker explain' err
ok "--max-tasks, -v, -f" status 0 "$lt" loop --dry-run -v --once -f 'priority < 10' -c 'echo %(a) # x'
ok "one, with its id" sh -c 'sed -n 1p out | grep -Eq "^# task [0-9a-f-]{36} \(urgent\)$" && [ "$(sed -n 2p out)" = "/bin/sh -c '\''echo 2 # x'\''" ]'
ok "--require, --allow-extra" status 0 "$lt" loop --dry-run --require b -- echo '%(a)'
ok "hold" same "$(cat out)" "echo 3"
ok "--pipe" status 0 "$lt" loop --dry-run --pipe --allow-extra --require a -- cat
ok "has one command for all" same "$(cat out)" "cat"
fields >after
ok "nothing was changed" cmp before after
ok "no worker was made" same "$("$lt" worker ls -q)" ""

place rests
ok "a waiting loop takes a task again that it has put back" await gone $resting
kill -9 $resting 2>/dev/null
ok "until it succeeds" same "$(count success)" 1
set -- $(cat runs)
ok "after 2 s, and then after 4 s" test $(($2 - $1)) -ge 2 -a $(($3 - $2)) -ge 4
