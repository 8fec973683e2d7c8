# SPDX-License-Identifier: MIT
# What people look with: status, wait, logs, explain.
. tests/lib.sh

place status
ok "where no queue is" status 1 "$lt" status
"$lt" submit --name one -- --a 1 >id 2>err
"$lt" submit --max-retries 1 -- --b 2 >id.b
ok "status" status 0 "$lt" status
ok "counts" has '^tasks *2 pending, 0 running, 0 success, 0 failed, 0 cancelled$' out
ok "says since when" has '^oldest *pending since 20' out
ok "nothing is said besides" same "$(cat err)" ""
"$lt" loop -- sh -c 'exit $1' x '%(b)' >out 2>err </dev/null
"$lt" loop -- sh -c '"$0" status >status.txt; "$0" status --json >status.json; exit 0 # $1' "$lt" '%(a)' >out 2>err </dev/null
ok "a running task is shown" has "^$(cat id) *one *20.*Z *[0-9]*s *[0-9a-f-]*$" status.txt
ok "and as JSON" has "\"running\":\[{\"task_id\":\"$(cat id)\",\"task_name\":\"one\",\"worker_id\":\"[0-9a-f-]*\",\"start_time\":\"[^\"]*Z\",\"retries\":0,\"age\":[0-9]*}\]" status.json
ok "with its counts" has '^{"tasks":{"pending":0,"running":1,"success":0,"failed":1,"cancelled":0},"workers":{"active":[1-9]' status.json
ok "one line" same "$(lines status.json)" 1
ok "an end of what is done" status 0 "$lt" status --json
ok "is now" has '"remaining":0,"end":"20' out
"$lt" status --watch --every 0.1 >watch 2>&1 &
pid=$!
ok "--watch shows it again" await sh -c '[ $(grep -c ^tasks watch) -gt 1 ]'
kill $pid
ok "without colours or jumps in a file" hasnt "$(printf '\033')" watch
cat >steps <<S
expect tasks    0 pending
expect workers
expect tasks    0 pending
send \x03
S
case $BIN in /*) pty=$BIN/pty ;; *) pty=$top/$BIN/pty ;; esac
"$pty" -s steps "$lt" status --watch --every 0.1 >screen 2>&1
ok "Ctrl-C ends it at a terminal" same $? 130
ok "where it clears once" same "$(grep -c "$(printf '\033\\[2J')" screen)" 1
ok "and then writes over what was there" has "$(printf '\033\\[H')server" screen

place wait
ok "nothing is named" status 2 "$lt" wait
ok "no id" status 2 "$lt" wait 1
ok "both" status 2 "$lt" wait --all 11111111-2222-4333-8444-555555555555
for i in 1 2 3; do "$lt" submit --max-retries 1 -- --n $i >>ids 2>>err.submit; done
ok "time is up" status 124 "$lt" wait --all --timeout 0.1
ok "which is said" has 'time is up' err
ok "of one" status 124 "$lt" wait --timeout 0 "$(head -n 1 ids)"
"$lt" wait - <ids >out.wait 2>err.wait &
pid=$!
"$lt" loop -- sh -c 'echo $1; exit 0' x '%(n)' >out 2>err </dev/null
wait $pid
ok "all have succeeded" same "$? $(cat out.wait err.wait)" "0 "
ok "the whole queue" status 0 "$lt" wait --all
"$lt" submit --max-retries 1 -- --f 1 >>ids
"$lt" loop -- sh -c 'exit 1 # $1' x '%(f)' >out 2>err </dev/null
ok "one has failed" sh -c '"$0" wait - <ids 2>err; [ $? -eq 1 ]' "$lt"
ok "it is named" has "wait: $(tail -n 1 ids): failed" err
ok "and counts in the whole" status 1 "$lt" wait --all
"$lt" task delete -y "$(head -n 1 ids)" >out 2>err
ok "one is gone" status 1 "$lt" wait "$(head -n 1 ids)"
ok "and that is said" has 'not there' err
id=$("$lt" submit -- --c 1)
"$lt" wait "$id" 2>err.wait &
pid=$!
"$lt" task cancel "$id" >out 2>err
wait $pid
ok "one is cancelled" same "$?" 1
ok "nothing to wait for" sh -c '"$0" wait - </dev/null' "$lt"

place logs
ok "no run" status 1 "$lt" logs
ok "says where it looked" has 'logs/run' err
a=$("$lt" submit --name first -- --n 1 2>err) b=$("$lt" submit --max-retries 2 -- --f 2)
"$lt" loop -- sh -c 'echo "job $1"; echo "to stderr" >&2' x '%(n)' >out 2>err </dev/null
ok "the last run" status 0 "$lt" logs
ok "what it printed" has '^job 1$' out
ok "both streams" has '^to stderr$' out
ok "nothing has failed" sh -c '"$0" logs --failed >out 2>err; [ $? -eq 0 ] && [ ! -s out ]' "$lt"
"$lt" loop -- sh -c 'date >>tries; echo "try $(wc -l <tries) of $1"; exit 1' x '%(f)' >out 2>err </dev/null
ok "a task's last run" status 0 "$lt" logs "$b"
ok "is the second" has '^try *2 of 2$' out
ok "and no other" hasnt 'try *1 of' out
ok "--failed" status 0 "$lt" logs --failed
ok "names it" has "^==> $b 20" out
ok "and shows it" has '^try *2 of 2$' out
ok "two tasks" status 0 "$lt" logs "$a" "$b"
ok "each under its name" same "$(grep -c '^==> ' out)" 2
ok "--path" status 0 "$lt" logs --path "$a"
ok "is the directory" test -f "$(cat out)/task_info.json"
ok "no such task" status 1 "$lt" logs 11111111-2222-4333-8444-555555555555
ok "no id" status 2 "$lt" logs first
c=$("$lt" submit -- --g 3)
"$lt" logs -f "$c" >follow 2>err.follow &
pid=$!
ok "-f waits for a run" await has 'waiting' err.follow
begin "$lt" loop -- sh -c 'echo begun; while [ ! -f go ]; do sleep 0.05; done; echo "end of $1"' x '%(g)'
ok "-f shows what comes" await has '^begun$' follow
: >go
wait $pid
ok "and ends with the run" same "$? $(tail -n 1 follow)" "0 end of 3"
wait
ok "--prune of what is younger" status 0 "$lt" logs --prune 1h
ok "leaves it" has '0 run directories removed, 4 left' err
ok "--prune with something else" status 2 "$lt" logs --prune 1d "$a"
for age in soon -1 -7d -0.5h nan; do
	ok "no age: $age" status 2 "$lt" logs --prune "$age"
done
mv .labtasker/logs/run runs
echo none >.labtasker/logs/run
for o in '' --failed '--prune 1h' -f; do
	ok "where none can be looked at: $o" status 1 "$lt" logs $o
	ok "that is said: $o" has '\.labtasker/logs/run: [A-Z]' err
done

place prune
"$lt" submit -- --n 1 >id 2>err
"$lt" submit --max-retries 2 -- --f 1 >id.f
"$lt" loop -- sh -c 'exit 0 # $1' x '%(n)' >out 2>err </dev/null
"$lt" loop -- sh -c '[ -f failed ] && exit 0; : >failed; exit $1' x '%(f)' >out 2>err </dev/null
"$lt" task requeue "$(cat id.f)" >out 2>err
for f in .labtasker/logs/run/*; do touch -t 202001010000 "$f"; done
mkdir .labtasker/logs/run/mine
ok "--prune" status 0 "$lt" logs --prune 30d
ok "removes what is old and over, and keeps what is pending again" has '1 run directories removed, 2 left' err
ok "the pending one's are there" same "$(ls .labtasker/logs/run | grep -c "$(cat id.f)")" 2
ok "the other is gone" same "$(ls .labtasker/logs/run | grep -c "$(cat id)")" 0
ok "a stranger's directory stays" test -d .labtasker/logs/run/mine
"$lt" task delete -y "$(cat id.f)" >out 2>err
sed 's/"queue_id": "[^"]*"/"queue_id": "another"/' "$(ls -d .labtasker/logs/run/run_* | head -n 1)/task_info.json" >info
cp info "$(ls -d .labtasker/logs/run/run_* | head -n 1)/task_info.json"
for f in .labtasker/logs/run/run_*; do touch -t 202001010000 "$f"; done
ok "--prune again" status 0 "$lt" logs --prune 1w
ok "a deleted task's go, another queue's stay" has '1 run directories removed, 1 left' err
ok "and that is said" has 'other queues' err

place explain
"$lt" submit --name one -- --a.b 1 --a.c 2 --d 3 >id 2>err
"$lt" submit -- --e 1 >id.e
id=$(cat id)
ok "explain" status 0 "$lt" explain "$id" -- echo '%(a.b)' '%(f)'
ok "its state" has "^task $id is pending, priority 10$" out
ok "what is missing" has 'names that the task does not have: f$' out
ok "what is too much" has 'arguments that the command does not use: a.c, d$' out
ok "no worker" has 'no worker is active' out
w=$("$lt" worker create -q)
ok "a command that fits" status 0 "$lt" explain "$id" -- echo '%(a)' '%(d)'
ok "is told so" has 'nothing keeps this loop' out
ok "as JSON" status 0 "$lt" explain --json "$id" -c 'echo %(a) %(d)'
ok "is an object" same "$(cat out)" "{\"task_id\":\"$id\",\"status\":\"pending\",\"fetched\":true,\"reasons\":[]}"
ok "a filter" status 0 "$lt" explain "$id" -f '{"task_name": "two"}'
ok "that does not match" has 'the filter does not match' out
ok "one that does" sh -c '"$0" explain "$1" -f "{\"task_name\": \"one\"}" >out && ! grep -q "does not match" out' "$lt" "$id"
ok "all" status 0 "$lt" explain -- echo '%(e)'
ok "how many" has '^2 tasks are pending, this loop can fetch 1$' out
ok "the fitting kind" has '1 with the arguments e: fits the command' out
ok "the other" has '1 with the arguments a.b, a.c, d: the command also uses e, and the command does not use a, d' out
ok "all as JSON" status 0 "$lt" explain --json -f '{"task_name": "one"}'
ok "counts" has '^{"pending":2,"matching":1,"fetchable":1,"reasons":\[\],"shapes":\[{"count":1,"names":"a.b, a.c, d"}\]}$' out
"$lt" worker report "$w" suspended >out 2>err
ok "a worker that is suspended" status 0 "$lt" explain --worker-id "$w" "$id"
ok "is a reason" has "worker $w is suspended" out
"$lt" task cancel "$id" >out 2>err
ok "a cancelled task" status 0 "$lt" explain "$id"
ok "and what to do" has "ended: cancelled; labtasker task requeue $id" out
ok "no such task" status 1 "$lt" explain 11111111-2222-4333-8444-555555555555
ok "no id" status 2 "$lt" explain one
ok "a bad template" status 2 "$lt" explain -- '%(a'
ok "a bad filter" status 2 "$lt" explain -f '{'
