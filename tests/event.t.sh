# SPDX-License-Identifier: MIT
# event listen: what happens is printed as it happens, in each form, also across a server that ends and comes back.
. tests/lib.sh

# listen NAME OPTIONS...: listens in the background until it is connected; its pid in $pid.
listen() {
	name_=$1
	shift
	"$lt" event listen "$@" >"$name_" 2>"$name_.err" </dev/null &
	pid=$!
	await grep -q connected "$name_.err"
}

place forms
ok "where no queue is" status 1 "$lt" event listen
"$lt" submit -- --z 0 >id 2>err
listen plain && p1=$pid
listen compact -c && p2=$pid
listen json --json && p3=$pid
listen raw --raw && p4=$pid
listen verbose -v && p5=$pid
"$lt" submit --name one --max-retries 1 -- --n 1 >id
id=$(cat id)
"$lt" loop -- sh -c 'exit 1 # $1' x '%(n)' >out 2>err </dev/null
"$lt" submit --name last -- --n 2 >last
for f in compact json raw verbose plain; do await grep -q "$(cat last)" $f; done
kill $p1 $p2 $p3 $p4 $p5
wait $p1 2>/dev/null
ok "Ctrl-C and the like end it" same $? 143
ok "a YAML list" same "$(grep -A5 "entity_id: $id" plain | grep '_state' | tr -d '\n')" \
    "  old_state: created  new_state: pending  old_state: pending  new_state: running  old_state: running  new_state: failed"
ok "with what it is" has '^  entity_type: task$' plain
ok "without the task" hasnt entity_data plain
ok "but with -v" has '^    task_name: one$' verbose
ok "compact: as the reference writes it" has \
    "^\[ *[0-9]*\]\[20[0-9T:.-]*Z\]\[state_transition    \]\[task      \]\[$id\]\[created    -> pending   \]$" compact
ok "the worker's event comes before the task's" same "$(grep -n -e 'worker.*active     -> active' -e "$id.*-> failed" compact | wc -l | tr -d ' ')" 2
ok "json: a line an event" has "^{\"sequence\":[0-9]*,\"timestamp\":\"[^\"]*\",\"event\":{\"type\":\"state_transition\".*\"entity_id\":\"$id\",\"old_state\":\"running\",\"new_state\":\"failed\",\"entity_data\":{\"_id\":\"$id\".*}}}$" json
ok "raw: the stream" has '^event: connection' raw
ok "with its ids" has '^id: ' raw
ok "where it listens" has 'event listen: connected to unix:' plain.err

place usage
ok "two forms" status 2 "$lt" event listen --raw --json
ok "a timeout that is none" status 2 "$lt" event listen --timeout 0
ok "and another" status 2 "$lt" event listen --timeout soon
LABTASKER_API_BASE_URL=http://127.0.0.1:1 LABTASKER_QUEUE_NAME=q LABTASKER_PASSWORD=p
export LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD
ok "a server that is down" status 1 "$lt" event listen --timeout 1
ok "is named" has '127.0.0.1:1' err
unset LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD

place back
"$lt" serve --unix sock 2>serve.err &
server=$!
await test -f .labtasker/server.json
"$lt" submit -- --n 1 >id 2>err
listen ev -c
"$lt" submit -- --n 2 >second
await grep -q "$(cat second)" ev
kill $server
wait $server
"$lt" submit -- --n 3 >third 2>err
ok "it comes back with a server" await grep -q 'connected again' ev.err
"$lt" submit -- --n 4 >fourth 2>err
ok "and goes on" await grep -q "$(cat fourth)" ev
ok "with what happened before it was back" has "$(cat third)" ev
ok "each once" same "$(cut -d] -f5 ev | sort | uniq -d)" ""
kill $pid
wait $pid 2>/dev/null
ok "until it is told" same $? 143
