# SPDX-License-Identifier: MIT
# The store as a server finds it: cut by a crash, damaged, repaired, and held by another server, here or on another host.
. tests/lib.sh

pid=
# serve_store DIR OPTIONS...: a server for it, once it listens; fails as serve does.
serve_store() {
	store=$1
	shift
	"$lt" serve --port 0 --store "$store" "$@" 2>serve.err &
	pid=$!
	until grep -q "\"pid\":$pid," "$store/server.json" 2>/dev/null; do
		kill -0 $pid 2>/dev/null || { wait $pid; return; }
		sleep 0.02
	done
}
end() { kill "$1" $pid && wait $pid 2>/dev/null; true; }
# flip FILE OFFSET: another byte stands there.
flip() { printf '~' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }

place store
"$lt" submit -- --n 1 >ids 2>/dev/null
"$lt" submit -- --n 2 >>ids 2>/dev/null
kill -9 "$(owner)"
await gone "$(owner)"

# A crash left half a turn.
printf '{"task":"half' >>.labtasker/journal
ok 'a torn tail is no loss' status 0 "$lt" task ls -q --no-pager
ok 'both tasks are there' same "$(sort out)" "$(sort ids)"
ok 'it is said' has 'journal: cut at line [0-9]*, offset [0-9]*' .labtasker/server.log
kill "$(owner)"
await test ! -f .labtasker/owner

# A byte that was on disk is another one.
cp .labtasker/journal whole
flip .labtasker/journal 300
cp .labtasker/journal bad
ok 'damage is refused' status 1 "$lt" serve --port 0
ok 'with file, line and offset' has 'journal: line [0-9]*, offset [0-9]*: damaged' err
ok 'and what to do' has 'serve --repair' err
ok 'nothing was changed' cmp bad .labtasker/journal
ok 'it is repaired' serve_store .labtasker --repair
ok 'and that is said' has 'repaired: damaged from line [0-9]*' serve.err
ok 'the old file is kept' cmp bad .labtasker/journal.damaged-1

# Whoever holds the lock is named; two servers never serve one store.
ok 'a second server is refused' status 1 "$lt" serve --port 0
ok 'the first is named' has "process $pid serves this store at http" err
end -TERM
ok 'an end leaves no address' test ! -f .labtasker/server.json
ok 'and no owner' test ! -f .labtasker/owner

# The lock of another host is a file.
cp whole .labtasker/journal
echo '{"host":"elsewhere","pid":1,"start":"2026-01-01T00:00:00Z"}' >.labtasker/owner
ok 'the store of another host is refused' status 1 "$lt" serve --port 0
ok 'it is named' has 'served from host elsewhere' err
ok 'with the file to remove' has 'labtasker/owner: .*remove the file' err
rm .labtasker/owner
ok 'then it is served' serve_store .labtasker
end -9
ok 'an owner of this host that is dead is none' serve_store .labtasker
end -TERM
"$lt" task ls -q --no-pager 2>/dev/null | sort >there
ok 'all is there' same "$(cat there)" "$(sort ids)"

# A later format.
kill "$(owner)"
await test ! -f .labtasker/owner
sed '1s/"version":1/"version":2/' whole >.labtasker/journal
ok 'a later format is refused' status 1 "$lt" serve --port 0
ok 'and left alone' test "$(lines .labtasker/journal)" = "$(lines whole)"

# A link to a disk that is not there is no empty store.
mv .labtasker/journal kept && ln -s elsewhere/journal .labtasker/journal
ok 'a journal that is a link to nothing' status 1 "$lt" serve --port 0
ok 'is said to be one' has 'labtasker/journal: a link to what is not there' err
ok 'and left alone' test -h .labtasker/journal
mv kept .labtasker/journal

# A lock that cannot be opened is no matter of the file system.
rm .labtasker/lock && mkdir .labtasker/lock
ok 'a directory in the place of the lock' status 1 "$lt" serve --port 0
ok 'is said to be one' has 'labtasker/lock: [A-Z][a-z ]*$' err

# A store that was moved away under its server leaves its name to another server's.
place moved
LABTASKER_QUEUE_NAME=q LABTASKER_PASSWORD=p
export LABTASKER_QUEUE_NAME LABTASKER_PASSWORD
serve_port
first=$server LABTASKER_API_BASE_URL=$url
export LABTASKER_API_BASE_URL
ok 'a queue' status 0 "$lt" queue create --queue-name q --password p
mv store gone
mv serve.err first.err
serve_port
second=$(sed -n 's/.*"store": *"\([^"]*\)".*/\1/p' store/server.json)
big=$(head -c 2000000 /dev/zero | tr '\0' x)
for i in 1 2 3 4 5 6 7 8 9; do echo "{\"n\":$i,\"big\":\"$big\"}"; done >big
ok 'much for the first' status 0 "$lt" submit --from big
ok 'that is past' status 0 "$lt" task delete -y -q -s pending
ok 'would be written anew' await has 'store.*cannot be written anew' first.err
kill $first
wait $first
ok 'the name is the second one'"'"'s' same "$(head -n 1 store/journal | grep -c "$second")" 1
ok 'which can be found' same "$(address)" "$url"
kill $server
wait $server
