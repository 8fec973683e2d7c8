# SPDX-License-Identifier: MIT
# init, config, queue create, create-from-config, get, update, delete, health: what they print and write, and every refusal.
. tests/lib.sh

says() { [ "$(lines err)" -eq 1 ] && has "$1" err; }
# added A B: the lines of B that A has not.
added() { grep -vxFf "$1" "$2"; }
prints() { printf '%s\n' "$@" >want; cmp want out || { cat out; false; }; }

place server
serve_port

place init
ok "nobody to ask" status 2 "$lt" init
ok "says what to give" says '\-\-url'
ok "and makes nothing" same "$(ls -A | grep -v -e out -e err)" ""
printf 'secret "one"\nrest\n' >pw
ok "all answers as options" status 0 "$lt" init --url "$url" --queue-name mine --password-file pw --create-queue --heartbeat-interval 5
ok "says where" has 'Configuration initialized successfully at .*client.toml' out
ok "the file is ours alone" same "$(ls -l .labtasker/client.toml | cut -c1-10)" -rw-------
ok "it names the server" has "^api_base_url = \"$url\"\$" .labtasker/client.toml
ok "the password is the first line" has '^password = "secret \\"one\\""$' .labtasker/client.toml
ok "the interval" has '^heartbeat_interval = 5.0$' .labtasker/client.toml
ok "the queue is there" status 0 "$lt" queue get
ok "as YAML" has '^queue_name: mine$' out
ok "without the notification" hasnt notification out
ok "a second init" status 1 "$lt" init --url "$url" --queue-name mine --password-file pw
ok "is refused" says 'is there already'
ok "--force replaces it" sh -c '"$1" init --force -q --url "$2" --queue-name mine --password-file - <pw' x "$lt" "$url"
ok "a queue of another password" sh -c '"$1" init --force --url "$2" --queue-name mine --password wrong --create-queue >out 2>err; [ $? -eq 1 ]' x "$lt" "$url"
ok "says so" says 'already exists'
ok "no queue, and none to be made" status 1 "$lt" init --force --url "$url" --queue-name other --password p --no-create-queue
ok "says how to make it" says 'create-from-config'
ok "create-from-config" status 0 "$lt" queue create-from-config --metadata '{"for": "test"}'
ok "prints name and id" has '^queue_name: other$' out
ok "again" status 1 "$lt" queue create-from-config -q
ok "is refused" says 'already exists'
ok "the metadata" sh -c '"$1" queue get | grep -q "for: test"' x "$lt"
ok "no server of ours there" status 1 "$lt" init --force --url "$url/nothing" --queue-name q --password p
ok "the file is written all the same" has "^api_base_url = \"$url/nothing\"" .labtasker/client.toml
for bad in '--url ftp://x' '--url' "--url $url --queue-name a/b --password p" "--url $url --queue-name q" "--local --queue-name q" "--local --url $url" \
    "--url $url --queue-name q --password p --password-file pw" "--url $url --queue-name q --password-file nofile" 'word'; do
	ok "refused: init $bad" status 2 "$lt" init --force $bad
	ok "in one line: init $bad" says init
done
ok "an empty password" sh -c ': | "$1" init --force --url "$2" --queue-name q --password-file - 2>err; [ $? -eq 2 ]' x "$lt" "$url"

place local
ok "init --local" status 0 "$lt" init --local
ok "a submit then" status 0 "$lt" submit -- --n 1
ok "goes to a queue here" test -f .labtasker/journal

place config
ok "config without a file" status 1 "$lt" config
ok "says how to make one" says 'labtasker init'
ok "--show neither" status 1 "$lt" config --show
"$lt" init -q --url "$url" --queue-name mine --password 'secret "one"' 2>/dev/null
cat .labtasker/client.toml >before
ok "--show" status 0 "$lt" config --show
ok "hides the password" has '^password = "\*\*\*\*\*\*\*\*"$' out
ok "and shows the rest as it stands" same "$({ added before out; added out before; } | wc -l | tr -d ' ')" 2
ok "--show --json" status 0 "$lt" config --show --json
ok "is JSON" has '"queue":{"queue_name":"mine","password":"\*\*\*\*\*\*\*\*"}' out
ok "KEY=VALUE" status 0 "$lt" config task.heartbeat_interval=7 queue.queue_name=other
ok "says so" prints 'Configuration updated successfully.'
ok "changes these lines only" same "$(added before .labtasker/client.toml | tr '\n' ' ')" 'queue_name = "other" heartbeat_interval = 7 '
cat .labtasker/client.toml >before
for bad in 'queue.queue_name=a/b' 'task.heartbeat_interval=fast' 'endpoint.api_base_url=ftp://x' 'word' '=x' 'queue=1' 'queue.name=x' 'heartbeat_interval=5'; do
	ok "refused: config $bad" status 2 "$lt" config "$bad"
	ok "in one line: config $bad" says config
done
ok "a password that looks like a number" status 0 "$lt" config queue.password=12345
ok "is a text" has '^password = "12345"$' .labtasker/client.toml
cat .labtasker/client.toml >before
cat >ed <<'S'
#!/bin/sh
cp "$1" seen; echo "$1" >path
sed "$SED" "$1" >edited && cat edited >"$1"
S
chmod +x ed
export SED
SED='s/"other"/"third"/'
ok "the editor" status 0 env VISUAL=./ed "$lt" config
ok "says so" prints 'Configuration updated successfully.'
ok "got the file" cmp before seen
ok "changed it" has '^queue_name = "third"$' .labtasker/client.toml
cat .labtasker/client.toml >before
SED='s/"third"/third/'
ok "what would not do" status 2 "$lt" config --editor ./ed
ok "is pointed at" has 'client.toml:[0-9]*:[0-9]*: ' err
ok "and replaces nothing" cmp before .labtasker/client.toml
ok "an editor that fails" status 1 "$lt" config --editor false
ok "replaces nothing" cmp before .labtasker/client.toml
ok "no file is left behind" test ! -e "$(cat path)"
echo 'x = ' >.labtasker/client.toml
ok "a broken file" status 2 "$lt" config --show
ok "is pointed at" has 'client.toml:1:5' err
ok "a value for a broken file" status 2 "$lt" config queue.queue_name=other
ok "is refused with the place" has 'client.toml:1:5: ' err
SED='s/.*/version_check = false/'
ok "the editor mends it" status 0 "$lt" config --editor ./ed
unset SED

place queues
export LABTASKER_API_BASE_URL=$url
ok "create" status 0 "$lt" queue create --queue-name q1 --password p1 --metadata '{"a": 1}'
ok "prints name and id" has '^queue_id: [0-9a-f-]\{36\}$' out
ok "again" status 1 "$lt" queue create --queue-name q1 --password p1 -q
ok "is refused" says 'already exists'
ok "from the environment" status 0 env QUEUE_NAME=q2 PASSWORD=p2 "$lt" queue create -q
ok "prints the id" same "$(wc -c <out | tr -d ' ')" 37
ok "--password-file" sh -c 'echo p3 | "$1" queue create --queue-name q3 --password-file - --json >out 2>err' x "$lt"
ok "--json" has '^{"queue_name":"q3","queue_id":"[0-9a-f-]*"}$' out
for bad in '--queue-name a/b --password p' '--queue-name q9' '--password p' '--queue-name q9 --password p --metadata x' \
    '--queue-name q9 --password p --password-file x' '--queue-name q9 --password-file nofile' 'word'; do
	ok "refused: queue create $bad" status 2 "$lt" queue create $bad
	ok "in one line: queue create $bad" says 'queue create'
done
ok "create-from-config without a name" status 2 "$lt" queue create-from-config
ok "says so" says 'no queue is named'
export LABTASKER_QUEUE_NAME=q3 LABTASKER_PASSWORD=p3
ok "queue get -q" status 0 "$lt" queue get --quiet
ok "is the id" same "$(wc -c <out | tr -d ' ')" 37
ok "queue get --json" status 0 "$lt" queue get --json
ok "is one object" has '^{"queue_id":.*"queue_name":"q3".*"metadata":{}}$' out
ok "update --metadata" status 0 "$lt" queue update --metadata '{"x": 1, "y.z": 2}'
ok "prints the queue" has '^    z: 2$' out
ok "update --metadata '{}'" status 0 "$lt" queue update --metadata '{}' --json
ok "takes all away" has '"metadata":{}' out
ok "update -q" status 0 "$lt" queue update -q --new-queue-name q4
ok "prints nothing" same "$(cat out err)" ""
ok "the old name is gone" status 1 "$lt" queue get
ok "says what to look at" says 'LABTASKER_QUEUE_NAME'
LABTASKER_QUEUE_NAME=q4
ok "a name that is taken" status 1 "$lt" queue update --new-queue-name q1
ok "a new password from standard input" sh -c 'echo p4 | "$1" queue update --new-password-file - -q' x "$lt"
ok "the old one is no good" status 1 "$lt" queue get
LABTASKER_PASSWORD=p4
for c in 'queue update --new-password' 'queue create --queue-name q9 --password'; do
	for p in 'pä' "p$(printf '\nq')"; do
		ok "a password that lets nobody in: $c" status 2 "$lt" $c "$p"
		ok "says why: $c" says 'ASCII'
	done
done
ok "nor one of the configuration" status 2 env LABTASKER_QUEUE_NAME=q9 LABTASKER_PASSWORD=pä "$lt" queue create-from-config
ok "says why" says 'ASCII'
ok "the new one is" status 0 "$lt" queue get
for bad in '' '--new-queue-name a/b' '--new-password' '--new-password x --new-password-file y' '--metadata 5' 'word'; do
	ok "refused: queue update $bad" status 2 "$lt" queue update $bad
	ok "in one line: queue update $bad" says 'queue update'
done
ok "delete needs a yes" status 1 "$lt" queue delete
ok "says how" says 'say -y'
ok "delete" status 0 "$lt" queue delete -y --cascade
ok "says so" prints 'Queue deleted.'
ok "it is gone" status 1 "$lt" queue delete -y
ok "says how to make one" says create-from-config
ok "where the environment names it, no file is made" test ! -e .labtasker/client.toml
unset LABTASKER_QUEUE_NAME LABTASKER_PASSWORD
ok "health" status 0 "$lt" health
ok "is a word" prints healthy
ok "health --json" status 0 "$lt" health --json
ok "is an object" prints '{"status":"healthy","database":"connected"}'
unset LABTASKER_API_BASE_URL

# client.toml named what was changed: it follows, every other byte stays.
place follow
"$lt" init -q --url "$url" --queue-name f1 --password p --create-queue 2>/dev/null
cat .labtasker/client.toml >before
ok "update of what client.toml names" status 0 "$lt" queue update -q --new-queue-name f2 --new-password "n\"ew"
ok "is followed" same "$(added before .labtasker/client.toml | tr '\n' ' ')" 'queue_name = "f2" password = "n\"ew" '
ok "and works" status 0 "$lt" queue get
kill $server
wait $server 2>/dev/null

# The queue of this directory: what its commands use follows as well.
place own
"$lt" submit -- --n 1 >/dev/null 2>&1
ok "a new password" status 0 "$lt" queue update -q --new-password fresh
ok "is used" status 0 "$lt" task ls -q
ok "is where the old one was" same "$(cat .labtasker/password)" fresh
ok "a new name" status 0 "$lt" queue update -q --new-queue-name ours
ok "is used" status 0 "$lt" queue get
ok "is in client.toml" has '^queue_name = "ours"$' .labtasker/client.toml
ok "with its password" has '^password = "fresh"$' .labtasker/client.toml
ok "both" status 0 "$lt" queue update -q --new-queue-name still --new-password newer
ok "are used" same "$("$lt" task ls -q | wc -l | tr -d ' ')" 1

place usage
for c in task worker queue 'task ls' 'task get' 'task update' 'task cancel' 'task requeue' 'task delete' 'worker create' 'worker ls' 'worker report' \
    'worker delete' 'queue create' 'queue create-from-config' 'queue get' 'queue update' 'queue delete' init config health; do
	ok "help $c" status 0 "$lt" help $c
	ok "shows its usage" has "^usage: labtasker $c" out
	ok "$c --help" status 0 "$lt" $c --help
	ok "on stdout only" same "$(cat err)" ""
done
ok "no file was made by that" same "$(ls -A | grep -v -e '^out$' -e '^err$')" ""
ok "--version" status 0 "$lt" --version
ok "is a line" same "$(lines out)" 1
