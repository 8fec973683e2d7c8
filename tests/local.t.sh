# SPDX-License-Identifier: MIT
# The local queue (OURS 2): nothing to set up, several starters, kill -9 of the server.
. tests/lib.sh

place first
"$lt" task submit -- --prompt "an astronaut riding a horse" --guidance_scale 7.5 >id 2>err </dev/null
ok "submit needs no server" same $? 0
ok "it prints the id and a newline" sh -c 'grep -Exq "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}" id && [ $(wc -c <id) -eq 37 ]'
ok "one line says that a server was started" same "$(lines err)" 1
ok "the directory is ours alone" same "$(ls -ld .labtasker | cut -c1-10)" drwx------
ok "so is every file in it" same "$(find .labtasker -type f ! -perm 600 | head -n 1)" ""
ok "the loop ends with 0" status 0 "$lt" loop -- echo '%(prompt)' '%(guidance_scale)'
ok "it ran the job" has '^an astronaut riding a horse 7.5$' out
ok "ls" status 0 "$lt" task ls --no-pager
ok "ls shows what became of it" has 'status: success' out
ok "health" status 0 "$lt" health
ok "health says so" same "$(cat out)" healthy
ok "the queue is empty" status 0 "$lt" loop -- echo '%(prompt)' '%(guidance_scale)'
ok "nothing was run" same "$(cat out)" ""
ok ".gitignore hides the password" has password .labtasker/.gitignore

place nothing
ok "ls where no queue is" status 1 "$lt" task ls
ok "it says how to make one" has submit err
ok "and makes none" same "$(ls -A | grep -v -e '^out$' -e '^err$')" ""

place many
i=0
while [ $i -lt 8 ]; do
	"$lt" submit -- --n $i >id.$i 2>err.$i </dev/null &
	i=$((i + 1))
done
wait
ok "eight starters, eight tasks" same "$(cat id.* | sort -u | wc -l | tr -d ' ')" 8
ok "one server" same "$(cat err.* | grep -c 'started')" 1
ok "all are there" same "$(count pending)" 8

# It is tried for ten seconds: looked at below.
place down
begin env LABTASKER_API_BASE_URL=http://127.0.0.1:1 LABTASKER_QUEUE_NAME=q LABTASKER_PASSWORD=secretword "$lt" health
down=$!
place far
mkdir .labtasker && echo x >.labtasker/password
echo '{"version":"0.1.0","url":"http://0.0.0.0:1","host":"node7","pid":1,"store":"x"}' >.labtasker/server.json
begin "$lt" health
far=$!

place killed
for i in 1 2 3 4 5 6; do "$lt" submit -- --n $i >>ids 2>>err.submit </dev/null; done
pid=$(owner)
kill -9 "$pid"
await gone "$pid"
ok "after kill -9 the next command starts a server again" same "$(count pending)" 6
ok "it is another one" test "$pid" != "$(owner)"
begin "$lt" loop -- sh -c 'echo "ran $1"; while [ ! -f go ]; do sleep 0.05; done' x '%(n)'
loop=$!
await has 'ran 1' out
kill -9 "$(owner)"
: >go
wait $loop
ok "a loop outlives its server" same $? 0
ok "every task was run once" same "$(grep -c ran out)" 6
ok "and has succeeded" same "$(count success)" 6

place ending
"$lt" submit -- --n 1 >id 2>err </dev/null
pid=$(owner)
kill "$pid"
await gone "$pid"
ok "an end takes its files along" same "$(ls .labtasker | grep -c -e server.json -e owner -e server.sock)" 0
ok "and the task is there" same "$(count pending)" 1
ok "SIGTERM while starters come: they wait for the end" sh -c '
	for i in 1 2 3 4 5; do
		kill $(sed -n "s/.*\"pid\": *\([0-9]*\).*/\1/p" .labtasker/owner) 2>/dev/null
		"$0" submit -- --n 2 >>ids 2>>err.many </dev/null || exit 1
	done' "$lt"

place here
"$lt" submit -- --n 1 >id 2>err
pid=$(owner)
mv "$base/here" "$base/there" && place there
ok "a directory that was moved" same "$(count pending 2>err.moved)" 1
ok "by the server that goes on there" same "$(owner) $(cat err.moved)" "$pid "
place here
"$lt" submit -- --n 2 >id 2>err
ok "another in its place" same "$(count pending)" 1
place there
ok "is not taken for it" same "$(count pending)" 1
kill "$pid"
await gone "$pid"
ok "and by another one then" same "$(count pending 2>/dev/null)" 1

# Who begins anew within the minute that the server of before goes on.
place anew
ok "a queue" status 0 "$lt" submit -- --n 1
pid=$(owner)
rm -rf .labtasker
ok "which is removed, and another begun" status 0 "$lt" submit -- --n 2
second=$(owner)
ok "by another server" test "$pid" != "$second"
kill "$pid"
await gone "$pid"
ok "it stays when the first one ends" same "$(ls .labtasker | grep -c -e server.json -e owner)" 2
ok "and is reached" status 0 "$lt" task ls -q
ok "with its one task" same "$(lines out)" 1
ok "of the same server" same "$(owner)" "$second"
kill "$second"
await gone "$second"
: >.labtasker/password
ok "no server has an empty password" status 1 "$lt" task ls -q
ok "which is said, and what to do" has 'labtasker/password: .*remove it' err
rm .labtasker/password
ok "that" status 0 "$lt" submit -- --n 3
ok "loses nothing" same "$(count pending)" 2

place elsewhere
"$lt" submit -- --n 1 >id 2>err </dev/null
pid=$(owner)
kill -9 "$pid"
await gone "$pid"
for f in owner server.json; do sed 's/"host": *"[^"]*"/"host":"node7"/' .labtasker/$f >new && cat new >.labtasker/$f; done
ok "another host's store" status 1 "$lt" task ls
ok "says how to join, and what to remove when that host is dead" has 'node7.*serve --advertise.*dead, remove owner and server.json' err
rm .labtasker/owner .labtasker/server.json
ok "which lets it be served here" same "$(count pending)" 1

place named
status 2 env LABTASKER_API_BASE_URL=http://127.0.0.1:1 "$lt" task ls
ok "a server named without its queue" same $? 0

place usage
ok "bad template" status 2 "$lt" loop -- echo '%(a'
ok "it is pointed at" has '\^' err
ok "an unknown command" status 2 "$lt" tusk
ok "an unknown option" status 2 "$lt" submit --nmae x
ok "nothing to submit" sh -c '"$0" submit; [ $? -ne 0 ]' "$lt"
ok "help" status 0 "$lt" help loop
ok "version" status 0 "$lt" --version

place deleted
"$lt" submit -- --n 1 >out 2>err
"$lt" queue delete -y --cascade >out 2>err
ok "a local queue that was deleted" status 1 "$lt" submit -- --n 1
ok "says how it is made anew" sh -c 'sed -n "s/.*\`labtasker \(queue create .*\)\` .*/\1/p" err >make; [ -s make ]'
ok "which is so" status 0 "$lt" $(cat make)
ok "it is there" status 0 "$lt" submit -- --n 1

place long
deep=$(printf 'd%.0s' 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0)
mkdir -p "$deep/$deep/$deep" && cd "$deep/$deep/$deep" || exit 2
ok "a path too long for a Unix socket" status 0 "$lt" submit -- --n 1
ok "works all the same" same "$(count pending)" 1
kill "$(owner)"
await test ! -e .labtasker/owner
ln -s "$PWD" "$base/short"
ok "a short path to the same place" same "$(LABTASKER_ROOT=$base/short/.labtasker count pending 2>err)" 1
ok "has a socket" has 'short/.labtasker/server.sock' .labtasker/server.json
ok "and its server, from the long one" same "$(count pending 2>err)" 1
kill "$(owner)"

place down
wait $down
ok "health of a server that is down" same $? 255
ok "how often it was tried" has 'tried [1-9][0-9]* times' err
ok "no secret in what it says" hasnt secretword err
place far
wait $far
ok "health of another host's server that is down" same $? 255
ok "says who names it" has 'does a server run there, as .labtasker/server.json says' err
