#!/bin/sh
# SPDX-License-Identifier: MIT
# Against the reference, both ways: our worker and commands on its server, its client and worker on ours.
#   sh tests/ref/run.sh [LABTASKER]      REFENV: a virtual environment with labtasker==1.0.1; made with pip where it is not given
lt=${1:-./labtasker}
lt=$(cd "$(dirname "$lt")" && pwd)/$(basename "$lt")
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d) || exit 2
passed=0 failed=0 pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; wait; rm -rf "$dir"' EXIT
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE LABTASKER_WORKER_ID
if [ -z "$REFENV" ]; then
	REFENV=$dir/env
	python3 -m venv "$REFENV" && "$REFENV/bin/pip" -q install labtasker==1.0.1 || { echo "ref: 0 passed, 1 failed"; exit 1; }
fi
ref=$REFENV/bin/labtasker
NO_COLOR=1 TERM=dumb COLUMNS=200 TZ=UTC
export NO_COLOR TERM COLUMNS TZ

ok() {   # ok NAME CONDITION...
	name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "ref: FAILED: $name" >&2
	fi
}
has() { grep -q -- "$1" "$2" || { echo "--- $2 has no $1:" >&2; tail -n 20 "$2" >&2; false; }; }
hasnt() { ! grep -q -- "$1" "$2" || { echo "--- $2 has $1:" >&2; tail -n 20 "$2" >&2; false; }; }
same() { [ "$1" = "$2" ] || { echo "--- got '$1', expected '$2'" >&2; false; }; }
config() {   # config DIR PORT QUEUE
	mkdir -p "$1/.labtasker"
	cat >"$1/.labtasker/client.toml" <<C
display_server_notifications_level = "medium"
enable_traceback_filter = true
version_check = false
[endpoint]
api_base_url = "http://127.0.0.1:$2"
[queue]
queue_name = "$3"
password = "secret-$3"
[task]
heartbeat_interval = 1
C
}
# await COMMAND...: until it is true, a minute at most.
await() { t=0; until "$@" 2>/dev/null || [ $t -gt 600 ]; do sleep 0.1; t=$((t + 1)); done; }
# listens PORT: until it answers.
listens() { await answers "$1"; [ $t -le 600 ] || echo "ref: port $1 does not answer" >&2; }
answers() { "$REFENV/bin/python" - "$1" <<'P'
import sys, urllib.request
try: urllib.request.urlopen("http://127.0.0.1:%s/health" % sys.argv[1], timeout=1).read()
except Exception: sys.exit(1)
P
}
count() { "$lt" task ls --fmt jsonl --no-pager -s "$1" | wc -l | tr -d ' '; }
running() { [ "$(count running)" = "$1" ]; }

# ---- their server, our commands and worker ----
rp=$((12000 + $$ % 20000)) op=$((rp + 1))
(cd "$dir" && PERIODIC_TASK_INTERVAL=1 exec "$REFENV/bin/labtasker-server" serve --host 127.0.0.1 --port $rp >refserver.log 2>&1) &
pids="$pids $!"
listens $rp
config "$dir/a" $rp qa
cd "$dir/a" || exit 2
ok "health" sh -c "'$lt' health | grep -qx healthy"
"$lt" queue create --queue-name qa --password secret-qa -q >qid 2>err
ok "queue create" same "$(wc -c <qid | tr -d ' ')" 37
for i in 1 2 3; do "$lt" submit --task-name "n$i" -- --a.b $i --c "it's \$HOME; ok" >>ids; done
"$ref" task submit -- --a.b 4 --c "by the reference" >/dev/null 2>&1
ok "three ids printed" same "$(wc -l <ids | tr -d ' ')" 3
"$lt" task ls --fmt yaml --no-pager >ls.yaml
ok "ls shows the reference's task" has "by the reference" ls.yaml
"$lt" submit --sweep a.b=1..2 --sweep c=x --name swept >swept
ok "a sweep goes in one by one" same "$(wc -l <swept | tr -d ' ')" 2
printf 'n,c\n1,"a, b"\n2,\n' | "$lt" submit --from - --csv --typed >csv
ok "so does CSV" same "$(wc -l <csv | tr -d ' ')" 2
"$lt" submit --key k -- --x 1 >out 2>err
ok "--key is refused there" same $? 2
ok "a Python-style filter on their server" same "$("$lt" task ls -q --no-pager -f 'task_name == "swept" and args.a.b in [1, 2] and created_at > date("1 hour ago")' | wc -l | tr -d ' ')" 2
"$lt" task delete -y -q $(cat swept csv) >out 2>err
"$lt" loop -- printf '%s|%s\n' '%(a.b)' '%(c)' >out 2>err </dev/null
ok "loop ends with 0" same $? 0
ok "values arrive whole" has "2|it's \$HOME; ok" out
ok "all four succeeded" same "$(count success)" 4
"$lt" submit --max-retries 2 -- --f 1 >/dev/null
"$lt" loop -c 'echo "bad luck" >&2; exit 7 # %(f)' >out 2>err </dev/null
ok "a failed job ends failed" same "$(count failed)" 1
"$lt" task ls --fmt jsonl --no-pager -s failed >failed.json
ok "its exception is reported" has "_LabtaskerJobFailed" failed.json
ok "its output is the traceback" has "bad luck" failed.json
# A preempted worker hands the task back uncharged.
"$lt" submit -- --s 1 >/dev/null
"$lt" loop -- sh -c 'echo running; sleep 60' x '%(s)' >out 2>err </dev/null &
w=$!
await grep -q running out
kill -TERM $w
wait $w
ok "TERM ends the loop with 143" same $? 143
"$lt" task ls --fmt jsonl --no-pager -s pending >pending.json
ok "the task is pending again" has '"retries": *0' pending.json
# Its heartbeats keep a task longer than its lease.
"$lt" loop --heartbeat-timeout 3 -- sh -c 'sleep 6' x '%(s)' >out 2>err </dev/null
ok "heartbeats keep the lease" same "$(count success)" 5
# Cancelled while it runs: the job is stopped, nothing is reported.
id=$("$lt" submit -- --s 2)
"$lt" loop --heartbeat-timeout 3 -- sh -c 'echo running; sleep 60' x '%(s)' >out 2>err </dev/null &
w=$!
await grep -q running out
"$REFENV/bin/python" "$here/client.py" cancel "$id"
wait $w
ok "the loop goes on after a cancelled task" same $? 0
ok "the task stays cancelled" same "$(count cancelled)" 1

# What people look with, on their server.
"$lt" event listen --compact >ev 2>ev.err </dev/null &
ev=$!
await grep -q connected ev.err
id=$("$lt" submit --name seen --max-retries 1 -- --v.w 1)
"$ref" loop --no-use-pty -- sh -c 'echo "by their loop $1"; exit 1' x '%(v.w)' >out 2>&1 </dev/null
await grep -q "$id.*-> failed" ev
kill $ev
wait $ev 2>/dev/null
ok "event listen: each step of a task" same "$(grep -c "\]\[task      \]\[$id\]\[" ev)" 3
ok "and its worker's" has '\[worker    \]' ev
"$lt" status >out 2>err
ok "status counts" has '^tasks *[0-9]* pending, 0 running, [0-9]* success, [1-9][0-9]* failed' out
ok "and reckons a rate from their times" has '^rate' out
"$lt" status --json >out
ok "status --json" has '^{"tasks":{"pending":' out
"$lt" wait "$id" 2>err
ok "wait: it has failed" same $? 1
"$lt" logs --failed >out 2>err
ok "logs of their loop" has "Task $id failed" out
pend=$("$lt" submit -- --p.q 1 --r 2)
"$lt" wait --timeout 0.2 "$pend" 2>err
ok "wait: time is up" same $? 124
"$lt" explain "$pend" -- echo '%(p.q)' '%(z)' >out 2>err
ok "explain: what is missing" has 'does not have: z$' out
ok "explain: what is too much" has 'does not use: r$' out
"$lt" explain "$pend" -f '{"args.r": 3}' >out 2>err
ok "explain: the filter" has 'the filter does not match' out
"$lt" explain -- echo '%(p)' '%(r)' >out 2>err
ok "explain: all" has 'with the arguments p.q, r: fits the command' out
"$lt" queue dump >"$dir/theirs.jsonl" 2>err
ok "dump of their queue" same "$(wc -l <"$dir/theirs.jsonl" | tr -d ' ')" "$(($("$lt" task ls --no-pager -q | wc -l) + 1))"
"$lt" logs --prune 0s 2>err
ok "logs --prune leaves what is pending" has 'removed' err
a=$("$lt" submit --priority 99 --max-retries 1 -- --dry.run "it's")
"$lt" loop --dry-run -- echo '%(dry.run)' >out 2>err
ok "loop --dry-run" same "$(cat out)" "echo 'it'\"'\"'s'"
ok "leaves the task" same "$("$lt" task get "$a" --json --fields status)" '{"status":"pending"}'
# ---- the commands that list, change and set up, on their server ----
cd "$dir/a" || exit 2
ids() { "$lt" task ls -q "$@"; }
"$lt" init -q --force --url "http://127.0.0.1:$rp" --queue-name qc --password 'secret "c"' --create-queue >out 2>err
ok "init makes the queue there" same $? 0
"$ref" queue get >out 2>&1
ok "their client reads the client.toml of ours" has "queue_name='qc'" out
"$ref" config --editor true >out 2>&1
ok "and finds nothing wrong in it" has "Configuration updated successfully" out
"$lt" queue get >out
ok "queue get" has "^queue_name: qc$" out
"$lt" queue update --metadata '{"a.b": 1, "c": "x"}' --json >out
ok "queue update --metadata" has '"metadata":{"a":{"b":1},"c":"x"}' out
"$lt" queue update --new-queue-name qd --new-password newer -q 2>err
ok "queue update, which client.toml follows" same "$("$lt" queue get | sed -n 's/^queue_name: //p')" qd
for i in 1 2 3 4; do "$lt" submit --name "n$i" --priority $((i % 2)) -- --i $i --l.x $i >/dev/null; done
a=$(ids --name n1) b=$(ids --name n2)
ok "task ls in the usual order" same "$("$lt" task ls --json --fields args.i | tr -dc '1-4')" 1324
ok "task ls -S" same "$("$lt" task ls --json --fields args.i -S args.l.x:desc | tr -dc '1-4')" 4321
ok "task ls --limit --offset" same "$(ids --limit 2 --offset 1 | wc -l | tr -d ' ')" 2
ok "task ls --piped-in" same "$(ids -s pending | "$lt" task ls --piped-in -q | wc -l | tr -d ' ')" 4
ok "task ls, a Python-style filter" same "$(ids -f 'args.i > 2 and priority == 0')" "$(ids --name n4)"
"$lt" task get "$a" >out
ok "task get" has "^task_name: n1$" out
"$lt" task get 00000000-0000-4000-8000-000000000000 >out 2>err
ok "task get of none" same $? 1
ok "says so" has "Task not found" err
"$lt" task update --id "$a" -- args.l.y=2 args.i=9 priority=7 metadata='{"m": [1]}' task_name=None >out
ok "task update" same "$(grep -c '# Modified' out)" 8
ok "merged and replaced" same "$("$lt" task get "$a" --json --fields args,metadata,task_name)" '{"args":{"i":9,"l":{"x":1,"y":2}},"metadata":{"m":[1]},"task_name":null}'
ids -s pending | "$lt" task update -q -u priority=3 -u cmd=echo
ok "task update of piped ids" same "$(ids -f '{"priority": 3, "cmd": "echo"}' | wc -l | tr -d ' ')" 4
"$lt" task update --id "$b" --editor "sed -i 's/^retries: .*/retries: 2/; s/^args: .*/args: {\"q\": 1}/'" >out
ok "task update in the editor" same "$("$lt" task get "$b" --json --fields args,retries)" '{"args":{"q":1},"retries":2}'
"$lt" task cancel -f '{}' -q
ok "task cancel" same "$(ids -s cancelled | wc -l | tr -d ' ')" 4
"$lt" task requeue "$b" >out
ok "task requeue" same "$("$lt" task get "$b" --json --fields status,retries)" '{"status":"pending","retries":0}'
ids -s cancelled | "$lt" task delete -y -q
ok "task delete" same "$(ids)" "$b"
"$lt" task delete -y 00000000-0000-4000-8000-000000000000 >out 2>err
ok "task delete of none" same $? 1
"$lt" task update --id "$b" -u status=success >out 2>err
ok "what it refuses" same $? 1
w=$("$lt" worker create --name w1 --metadata '{"gpu": 1}' -q)
"$lt" worker create >out
ok "worker create" has "Worker created with ID: " out
"$lt" worker report "$w" suspended >out
ok "worker report" same "$("$lt" worker ls -q -s suspended)" "$w"
ok "worker ls --fields" same "$("$lt" worker ls --json --name w1 --fields metadata.gpu,status)" '{"metadata.gpu":1,"status":"suspended"}'
"$lt" worker report "$w" crashed >out 2>err
ok "worker report crashed is refused" same $? 1
"$lt" worker ls -q | "$lt" worker delete -y -q
ok "worker delete" same "$("$lt" worker ls -q)" ""
# More than a page: put in by their client's library, listed and changed by ours.
"$REFENV/bin/python" "$here/client.py" many 1050 >out 2>&1
ok "1,050 tasks by their client" has "client.py: all fine" out
ok "task ls gets them all" same "$(ids --name many | sort -u | wc -l | tr -d ' ')" 1050
ok "in order" same "$("$lt" task ls --name many --json --fields args.n -S args.n:desc --offset 1040 | tr -dc '0-9\n' | tr '\n' ' ')" "9 8 7 6 5 4 3 2 1 0 "
"$lt" task update --name many -q -u metadata.seen=True
ok "task update changes them all" same "$(ids -f '{"metadata.seen": true}' | wc -l | tr -d ' ')" 1050
"$lt" queue delete -y --cascade >out
ok "queue delete" has "^Queue deleted.$" out
"$lt" queue create-from-config -q >out
ok "queue create-from-config" same "$(wc -c <out | tr -d ' ')" 37

# ---- our server, their client, commands and worker ----
mkdir -p "$dir/b"
(cd "$dir" && exec "$lt" serve --host 127.0.0.1 --port $op --store "$dir/store" 2>ourserver.log) &
ours=$!
pids="$pids $ours"
listens $op
config "$dir/b" $op qb
cd "$dir/b" || exit 2
"$ref" queue create-from-config >out 2>&1
ok "their queue create-from-config" same $? 0
# A queue out of their server into ours, and back into a new one of theirs.
kept() { sed -e 's/"\(task_id\|queue_id\|created_at\|start_time\|last_heartbeat\|last_modified\|worker_id\)":[^,}]*,*//g' -e 's/,}/}/' "$1" | tail -n +2 | sort; }
"$lt" queue load "$dir/theirs.jsonl" 2>err
ok "their dump into ours" same $? 0
"$lt" queue dump >"$dir/ours.jsonl"
ok "the same tasks" same "$(kept "$dir/ours.jsonl")" "$(kept "$dir/theirs.jsonl")"
config "$dir/c" $rp qc
(cd "$dir/c" && "$lt" queue create-from-config -q >out 2>err && "$lt" queue load "$dir/ours.jsonl" 2>err && "$lt" queue dump >again.jsonl 2>>err)
ok "ours into theirs" same $? 0
ok "that ids are new is said" has 'have new ids' "$dir/c/err"
ok "the same tasks again" same "$(kept "$dir/c/again.jsonl")" "$(kept "$dir/ours.jsonl")"
"$lt" task ls -q --no-pager | "$lt" task delete -y >out 2>err
"$ref" task submit --task-name first -- --x 1 --y two >out 2>&1
ok "their task submit" same $? 0
"$ref" task ls --no-pager >ls 2>&1
ok "their task ls" has "task_name: first" ls
"$ref" loop -- echo '%(x)' '%(y)' >out 2>&1 </dev/null
ok "their loop ends with 0" same $? 0
ok "their loop ran the job" has "1 two" out
ok "the task succeeded" same "$(count success)" 1
"$REFENV/bin/python" "$here/client.py" drain >out 2>&1
ok "their Python client submits, updates, drains" has "client.py: all fine" out
for part in queue workers events filters timeouts; do
	"$REFENV/bin/python" "$here/client.py" $part >out 2>&1
	ok "their Python client: $part" has "client.py: all fine" out
done
"$ref" event listen --timeout 60 -c >events 2>&1 </dev/null &
listener=$!
await has "connect" events
"$lt" submit -- --heard 1 >/dev/null
await grep -q 'created *-> pending' events
ok "their event listen hears our submit" has "created *-> pending" events
kill $listener
# Their worker dies by kill -9: its lease runs out, and another finishes the task.
"$ref" loop --heartbeat-timeout 2 -- sh -c 'echo running; exec sleep 60' x '%(heard)' >out 2>&1 </dev/null &
w=$!
await running 1
kill -9 $w
await running 0
"$lt" task ls --fmt jsonl --no-pager -s pending >crashed
ok "the task of a worker that was killed is pending again" has "heartbeat or task execution timed out" crashed
"$ref" loop -- echo 'again' '%(heard)' >out 2>&1 </dev/null
ok "and run by another" has "again 1" out
# A job under our loop that uses their Python: what it needs is a client.toml with an http URL, which it has here.
job() { "$lt" submit --max-retries 1 -- --job "$1" >/dev/null && "$lt" loop -- "$REFENV/bin/python" "$here/job.py" '%(job)' >out 2>err </dev/null; }
job info
ok "their task_info() under our loop" has '^info {.job.: .info.}' out
job finish
ok "their finish()" same "$("$lt" task ls --fmt jsonl --no-pager -f 'args.job == "finish"' --fields status,summary)" '{"status":"success","summary":{"loss":0.5}}'
ok "is not reported again" hasnt 'finish.*failed\|not taken' err
job failed
ok "their finish(failed)" same "$("$lt" task ls --fmt jsonl --no-pager -f 'args.job == "failed"' --fields status,summary)" '{"status":"failed","summary":{"why":"bad"}}'
# Killed and started again, ours still has all of it.
kill -9 $ours
wait $ours 2>/dev/null
before=$(cat "$dir/store/journal" | wc -c)
(cd "$dir" && exec "$lt" serve --host 127.0.0.1 --port $op --store "$dir/store" 2>>ourserver.log) &
pids="$pids $!"
listens $op
"$ref" task ls --no-pager --limit 1000 >ls 2>&1
ok "nothing is lost by kill -9 ($before bytes of journal)" has "task_name: first" ls
"$lt" submit -- --z 3 >/dev/null
"$ref" loop -- echo 'z is' '%(z)' >out 2>&1 </dev/null
ok "their loop runs our task" has "z is 3" out
"$ref" health >out 2>&1
ok "their health" same $? 0
echo "ref: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
