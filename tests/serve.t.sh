#!/bin/sh
# SPDX-License-Identifier: MIT
# labtasker serve: its options and environment, its log, and how it ends.
. "$(dirname "$0")/lib.sh"

# serving ARGS...: a server in ./store, its pid in $pid, until it can be asked.
serving() {
	"$lt" serve --unix sock --store store "$@" 2>said & pid=$!
	await test -f store/server.json
}
ended() {
	kill "$1" "$pid"
	wait "$pid"
	same $? "$2"
}
LABTASKER_API_BASE_URL=unix:sock LABTASKER_QUEUE_NAME=q LABTASKER_PASSWORD=secret-of-q
export LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD

place log
serving -v --log log
ok 'a queue' status 0 "$lt" queue create --queue-name q --password secret-of-q
ok 'a task' status 0 "$lt" task submit -- --a 1
ok 'a search' status 0 "$lt" task ls -q --no-pager
ok 'no health is logged twice' same 1 "$(grep -c 'POST /api/v1/queues 201' log)"
ok 'who, what, how it ended' has '^20[0-9-]*T[0-9:.]*Z unix q POST /api/v1/queues/me/tasks 201 [0-9]* [0-9]*\.[0-9]*$' log
ok 'messages have a time' has '^20[0-9-]*T[0-9:.]*Z labtasker: serving store' log
ok 'nothing on stderr' same '' "$(cat said)"
ok "for the server's user alone" same '' "$(find log ! -perm 600)"
mv log old
kill -HUP $pid
ok 'HUP opens it anew' await test -f log
ok 'a task' status 0 "$lt" task submit -- --a 1
ok 'the new one is used' await grep -q 'POST /api/v1/queues/me/tasks 201' log
ok 'TERM' ended -TERM 0
ok 'no password in it' hasnt c2VjcmV0 log
ok 'no password in it' hasnt c2VjcmV0 old
ok 'server.json is gone' test ! -e store/server.json

place deaf
trap '' TERM
serving
trap 'exit 1' TERM
kill -TERM $pid
ok 'TERM that was ignored when it began stays so' status 0 "$lt" queue create --queue-name q --password secret-of-q
ok 'INT ends it' ended -INT 0

# There is nothing to be read anew, and no terminal to be gone: a service manager's reload may not end it.
if command -v setsid >/dev/null; then
	place alone
	setsid "$lt" serve --unix sock --store store 2>said & pid=$!
	await test -f store/server.json
	kill -HUP $pid
	ok 'HUP without a terminal' status 0 "$lt" queue create --queue-name q --password secret-of-q
	ok 'goes on' status 0 "$lt" task ls
	ok 'TERM' ended -TERM 0
fi

place json
serving -v --log-format json
ok 'a queue' status 0 "$lt" queue create --queue-name q --password secret-of-q
ok 'TERM' ended -TERM 0
"$lt" serve --unix sock --store store --log-format json -v 2>said & pid=$!
await test -f store/server.json
ok 'an object a line' status 0 "$lt" task ls -q --no-pager
ok 'TERM' ended -TERM 0
ok 'messages' has '^{"time":"20[^"]*Z","message":"serving store' said
ok 'requests' has '^{"time":"20[^"]*Z","peer":"unix","queue":"q","method":"POST","target":"/api/v1/queues/me/tasks/search","status":200,"bytes":[0-9]*,"ms":[0-9.]*}$' said
ok 'nothing else' same 0 "$(grep -vc '^{.*}$' said)"

place quiet
serving
ok 'a queue' status 0 "$lt" queue create --queue-name q --password secret-of-q
ok 'INT' ended -INT 0
ok 'one line' same 1 "$(lines said)"

place advertised
serving --host 127.0.0.1 --port 0 --advertise http://login1:80
ok 'INT' ended -INT 0
ok 'where clients go, and the port that it has' has ' at http://login1:80 (process [0-9]*, port [1-9][0-9]*)' said

place bad
ok 'a log that cannot be' status 1 "$lt" serve --unix sock --store store --log no/where
ok 'is said' has '^labtasker: no/where: ' err
for o in '--max-connections 0' '--max-body 10' '--max-body 99999999' '--timeout 0' '--timeout x' '--log-format xml' '--port 99999' '--sync 0' \
    '--advertise nowhere' '--advertise ftp://x'; do
	ok "$o" status 2 "$lt" serve --unix sock --store store $o
	ok 'names it' has "${o%% *}" err
done
for o in --cert --store --host --unix --log; do
	ok "$o of a variable that is not set" status 2 "$lt" serve --port 0 --store store $o ''
	ok 'names it' has "serve: $o: its value is empty" err
done
for e in PERIODIC_TASK_INTERVAL=0 PERIODIC_TASK_INTERVAL=x EVENT_BUFFER_SIZE=-1 SSE_PING_INTERVAL=nan API_PORT=http; do
	ok "$e" status 2 env "$e" "$lt" serve --store store
	ok 'names it' has "${e%%=*}" err
done
