# SPDX-License-Identifier: MIT
# queue dump and queue load: out and in again, twice, into another queue of the same server, and what cannot be read.
. tests/lib.sh

# What must be the same after a load: all but ids, times and workers.
kept() { sed -e 's/"\(task_id\|queue_id\|created_at\|start_time\|last_heartbeat\|last_modified\|worker_id\)":[^,}]*,*//g' -e 's/,}/}/' "$1" | tail -n +2 | sort; }
ids() { sed -n 's/.*"task_id":"\([^"]*\)".*/\1/p' "$1" | sort; }

place from
"$lt" submit --name first --priority 3 --metadata '{"tags": ["a", "b c"], "$odd": 1}' --task-timeout 100 -- --a.b 1.50 --c 'two words' >ids 2>err
"$lt" submit --max-retries 1 --cmd 'echo hi' -- --f 12345678901234567890123 >>ids
"$lt" submit --max-retries 5 -- --g 1 >>ids
"$lt" submit -- --n 1 >>ids
"$lt" submit -- --x 1 >>ids
"$lt" loop -- sh -c 'exit 1 # $1' x '%(f)' >out 2>err </dev/null
"$lt" loop -- sh -c '"$0" finish --summary "{\"loss\": 0.25, \"by\": {\"step\": [1, 2]}}" # $1' "$lt" '%(n)' >out 2>err </dev/null
"$lt" task cancel "$(tail -n 1 ids)" >out 2>err
"$lt" queue update --metadata '{"owner": "me"}' >out 2>err
ok "dump" status 0 "$lt" queue dump
mv out dump
ok "a line for the queue, one a task" same "$(lines dump)" 6
ok "the queue" has '^{"labtasker_queue":1,"queue_id":"[^"]*","queue_name":"default","created_at":"[^"]*","metadata":{"owner":"me"}}$' dump
ok "in order of creation" same "$(sed -n 's/.*"task_id":"\([^"]*\)".*/\1/p' dump)" "$(cat ids)"

place to
"$lt" init --local -q >out 2>err
ok "load" status 0 "$lt" queue load ../from/dump
ok "says what it did" has '5 tasks are loaded' err
ok "and what it cannot" has 'not carried over' err
"$lt" queue dump >dump
ok "the same tasks" same "$(kept dump)" "$(kept ../from/dump)"
ok "with the same ids" same "$(ids dump)" "$(ids ../from/dump)"
ok "the queue's metadata" has '^{.*"metadata":{"owner":"me"}}$' dump
"$lt" loop -- echo '%(g)' >out 2>err </dev/null
ok "what was pending runs" same "$(count success)" 2
"$lt" task requeue -s failed >out 2>err
"$lt" queue dump >before
ok "load again" sh -c '"$0" queue load - <../from/dump 2>err' "$lt"
"$lt" queue dump >after
ok "changes nothing that has gone on" same "$(tail -n +2 after)" "$(tail -n +2 before)"
ok "not all of it" status 0 "$lt" queue load --skip 4 ../from/dump
ok "is one" has '1 tasks are loaded' err

place broken
sed -e '4s/"args":{[^}]*}/"args":{"a b":1}/' ../from/dump >bad
ok "a task that is refused" status 1 "$lt" queue load bad
ok "is named" has 'bad:4: .*a b' err
ok "and how to go on" has 'load the whole file again' err
ok "the others are there" same "$("$lt" task ls -q --no-pager | wc -l | tr -d ' ')" 4
ok "the whole file again" status 0 "$lt" queue load ../from/dump
"$lt" queue dump >dump
ok "completes it" same "$(kept dump)" "$(kept ../from/dump)"
echo '{"x": 1}' >no
ok "no dump" status 2 "$lt" queue load no
(sed 1q ../from/dump; echo '{"args":{"hand":"made"}}') >made
ok "a task without a status" status 0 "$lt" queue load made
ok "is pending" same "$("$lt" task ls -q --no-pager -s pending -f '{"args.hand":"made"}' | wc -l | tr -d ' ')" 1
ok "no JSON" sh -c 'echo hello | "$0" queue load 2>err; [ $? -eq 2 ] && grep -q "standard input:1:" err' "$lt"
ok "nothing" sh -c '"$0" queue load </dev/null 2>err; [ $? -eq 2 ]' "$lt"
ok "a file that is not there" status 2 "$lt" queue load none
(sed 2q ../from/dump; echo '[1]') >bad
ok "a line that is no task" status 2 "$lt" queue load bad
ok "is named" has 'bad:3:' err

place second
serve_port
LABTASKER_API_BASE_URL=$url LABTASKER_QUEUE_NAME=one LABTASKER_PASSWORD=p
export LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD
"$lt" queue create-from-config -q >out 2>err
"$lt" queue load ../from/dump 2>err
LABTASKER_QUEUE_NAME=two
"$lt" queue create-from-config -q >out 2>err
ok "into another queue of the same server" status 0 "$lt" queue load ../from/dump
ok "with new ids" has '5 of them have new ids' err
"$lt" queue dump >dump
ok "all the same" same "$(kept dump)" "$(kept ../from/dump)"
ok "again" status 0 "$lt" queue load ../from/dump
ok "adds nothing" same "$("$lt" task ls -q --no-pager | wc -l | tr -d ' ')" 5
kill $server
wait $server
