# SPDX-License-Identifier: MIT
# A person at a terminal, played by tests/pty.c: prompts, secrets, the pager, the table, the editor and its second chance.
. tests/lib.sh
pty=$top/${BIN:-tests/bin}/pty
[ -x "$pty" ] || pty=$BIN/pty

"$pty" -s /dev/null true || { echo "SKIPPED: there are no pseudo-terminals here" >&2; exit; }

# play N COMMAND...: the steps on standard input, the terminal's picture to out; it ends with status N.
play() {
	want=$1
	shift
	cat >steps
	"$pty" -s steps "$@" >out 2>err
	got=$?
	tr -d '\r' <out >shown
	[ "$got" -eq "$want" ] || { echo "exit status $got, expected $want: $*"; cat out err; false; }
}
export TERM=dumb COLUMNS=80
unset NO_COLOR PAGER VISUAL EDITOR

place server
serve_port

place gone
ok "a server without --log, whose terminal is gone," play 0 "$lt" serve --host 127.0.0.1 --port 0 --store store <<S
expect serving store
kill 1
S
ok "ends" test ! -e store/server.json

place init
ok "init asks" play 0 "$lt" init <<S
expect URL of the server
expect [http://localhost:9321]: 
send ftp://nowhere\r
expect Invalid value
expect URL of the server
send $url\r
expect Queue name: 
send a b\r
expect 1 to 100 letters
expect Queue name: 
send mine\r
expect Password: 
send secretone\x7f\x7f\x7fONE\r
expect Again: 
send secretONE\r
expect Make it? [Y/n]: 
send \r
expect Configuration initialized successfully
S
ok "no secret was shown" hasnt secret out
ok "the password as it was mended" has '^password = "secretONE"$' .labtasker/client.toml
ok "the queue is there" status 0 "$lt" queue get
ok "with that password" has 'queue_name: mine' out
rm -r .labtasker
ok "passwords that differ" play 1 "$lt" init <<S
expect URL
send $url\r
expect Queue name: 
send mine\r
expect Password: 
send one\r
expect Again: 
send two\r
expect the two passwords differ
S
ok "Ctrl-C at a secret" play 130 "$lt" init <<S
expect URL
send $url\r
expect Queue name: 
send mine\r
expect Password: 
send one\x03
S
ok "the end of input" play 1 "$lt" init <<S
expect URL
send \x04
expect nothing was made
S
ok "nothing was made by those" test ! -e .labtasker
ok "a queue here" play 0 "$lt" init <<'S'
expect URL
send local\r
expect Configuration initialized successfully
S
ok "no server is named" hasnt api_base_url .labtasker/client.toml

place queue
export LABTASKER_API_BASE_URL=$url
ok "queue create asks" play 0 "$lt" queue create <<'S'
expect Queue name: 
send asked\r
expect Password: 
send pw\r
expect Again: 
send pw\r
expect queue_id: 
S
export LABTASKER_QUEUE_NAME=asked LABTASKER_PASSWORD=pw
ok "queue update --new-password asks" play 0 "$lt" queue update --new-password -q <<'S'
expect New password: 
send pw2\r
expect Again: 
send pw2\r
S
LABTASKER_PASSWORD=pw2
ok "it was changed" status 0 "$lt" queue get
ok "queue delete asks" play 1 "$lt" queue delete <<'S'
expect Delete the queue asked? [y/N]: 
send n\r
expect nothing was deleted
S
ok "and again until it is an answer" play 0 "$lt" queue delete --cascade <<'S'
expect with all its tasks? [y/N]: 
send what\r
expect [y/N]: 
send y\r
expect Queue deleted.
S
unset LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD
kill $server
wait $server 2>/dev/null

place ls
a=$("$lt" submit --name one -- --text "$(printf '%0120d' 7)" 2>/dev/null)
"$lt" submit --name two -- --text 'è 漢字 "x"' >/dev/null
ok "a table at a terminal" play 0 env PAGER=cat "$lt" task ls <<'S'
expect task_id
S
ok "with a head and two rows" same "$(lines shown)" 3
ok "no wider than it" sh -c '! grep -q ".\{81\}" shown && grep -q "\.\.\.$" shown' 
ok "through the pager" play 0 env PAGER='sed s/^/paged:/' "$lt" task ls -q <<'S'
expect paged:
S
ok "--no-pager" play 0 env PAGER='sed s/^/paged:/' "$lt" task ls -q --no-pager <<S
expect $a
S
ok "is none" hasnt paged out
ok "a pager that is not there" play 0 env PAGER=./nosuch "$lt" task ls -q <<S
expect $a
S
ok "colours" play 0 env TERM=xterm "$lt" task ls --no-pager -s pending --fields status <<'S'
expect pending
S
ok "none for pending" hasnt '\[3' out
"$lt" task cancel "$a" >/dev/null
ok "cancelled has one" play 0 env TERM=xterm "$lt" task ls --no-pager --fields status <<'S'
expect cancelled
S
ok "in the table" has "$(printf '\033')\[2mcancelled" out
ok "NO_COLOR" play 0 env TERM=xterm NO_COLOR=1 "$lt" task ls --no-pager --fields status <<'S'
expect cancelled
S
ok "has none" hasnt "$(printf '\033')" out
ok "--no-ansi" play 0 env TERM=xterm "$lt" task ls --no-pager --no-ansi --fields status <<'S'
expect cancelled
S
ok "neither" hasnt "$(printf '\033')" out
ok "YAML when asked for" play 0 "$lt" task ls --fmt yaml --no-pager --fields task_name <<'S'
expect - task_name: one
S
ok "delete asks" play 1 "$lt" task delete "$a" <<S
expect Delete task $a? [y/N]: 
send \r
expect nothing was deleted
S
ok "delete of several asks once" play 0 "$lt" task delete -f '{}' <<'S'
expect Delete 2 tasks? [y/N]: 
send y\r
expect deleted.
S
ok "all are gone" same "$("$lt" task ls -q)" ""

place editor
a=$("$lt" submit --name one -- --x 1 2>/dev/null)
cat >ed <<'S'
#!/bin/sh
# The first time it writes what cannot be read, the second time what can; a key ends it.
if [ -e been ]; then sed 's/^priority: .*/priority: 5/' "$1" >edited; else sed 's/^priority: .*/priority: high/' "$1" >edited; fi
: >been
cat edited >"$1"
echo "editing: press a key"
read key
S
chmod +x ed
ok "the editor again after an error" play 0 env EDITOR=./ed "$lt" task update --name one <<'S'
expect editing
send k\r
expect line 10, column 11: priority must be a whole number
expect Edit it again? [Y/n]: 
send \r
expect editing
send k\r
expect priority: 5  # Modified
S
rm been
ok "or no more" play 2 env EDITOR=./ed "$lt" task update --name one <<'S'
expect editing
send k\r
expect Edit it again? [Y/n]: 
send n\r
S
ok "then nothing was changed" same "$("$lt" task get "$a" --json --fields priority)" '{"priority":5}'
ok "ids on standard input leave the terminal to the editor" play 0 sh -c '"$0" task ls -q | EDITOR=./ed "$0" task update' "$lt" <<'S'
expect editing
send k\r
expect nothing was changed
S
ok "nobody to ask about a selection" play 2 "$lt" task update -u priority=3 <<'S'
expect which tasks?
S
ok "never a question after the change" play 0 "$lt" task update --name one -u priority=3 <<'S'
expect priority: 3  # Modified
S

place config
cat >ed <<'S'
#!/bin/sh
if [ -e been ]; then sed 's/= medium/= "high"/' "$1" >edited; else sed 's/"medium"/medium/' "$1" >edited; : >been; fi
cat edited >"$1"
S
chmod +x ed
ok "config offers to make one" play 0 env VISUAL=./ed "$lt" config <<'S'
expect Make one? [Y/n]: 
send y\r
expect client.toml:2:38: 
expect Edit it again? [Y/n]: 
send y\r
expect Configuration updated successfully.
S
ok "and changes it" has '"high"' .labtasker/client.toml
ok "not when it is not wanted" sh -c 'rm -r .labtasker; printf "expect Make one\nsend n\\\\r\n" >steps; "$1" -s steps "$2" config >out 2>err; [ $? -eq 1 ] && [ ! -e .labtasker ]' x "$pty" "$lt"

place progress
"$lt" submit --sweep n=1..6 >/dev/null 2>&1
cat >job.sh <<'J'
sleep 0.3
echo "line of $1"
echo "err of $1" >&2
J
ok "-j shows how far it is" play 0 env TERM=xterm "$lt" loop -j 2 -- sh job.sh '%(n)' <<'S'
expect running, 
expect pending
S
ok "in a line that hurts no other" same "$(tr -d '\r' <out | sed "s/.*$(printf '\033')\[K//; s/^\[[01]\] //" | grep . | sort | tr '\n' ,)" \
    "err of 1,err of 2,err of 3,err of 4,err of 5,err of 6,line of 1,line of 2,line of 3,line of 4,line of 5,line of 6,"
"$lt" submit --sweep n=1..2 >/dev/null 2>&1
ok "not at one that cannot take it back" play 0 "$lt" loop -j 2 -- sh -c 'echo "ran $1"' x '%(n)' <<'S'
expect ran
S
ok "nor elsewhere" hasnt running out
