#!/bin/sh
# SPDX-License-Identifier: MIT
# The lines of DESIGN, Security, that no other test holds.
. tests/lib.sh
secret=s3cret-of-all
esc=$(printf '\033') csi=$(printf '\302\233')
# tame FILE: nothing in it that a terminal obeys.
tame() { hasnt "$esc" "$1" && hasnt "$csi" "$1"; }
# args PID: its line in the list of processes.
args() { { tr '\0' ' ' <"/proc/$1/cmdline" || ps -A -o pid,args | grep "^ *$1 "; } 2>/dev/null; }

place modes
umask 000
ok "a queue" status 0 "$lt" submit -- --n 1
ok "a run" status 0 "$lt" loop -- sh -c 'umask 077; : >"$LABTASKER_LOG_DIR/own"; echo "got $0"' '%(n)'
ok "a new password" status 0 "$lt" queue update --new-password other -q
ok "a new name, so that client.toml has it and the password" status 0 "$lt" queue update --new-queue-name ours -q
ok "is written there" has '^password = "other"$' .labtasker/client.toml
ok "which goes on" status 0 "$lt" task ls
umask 022
ok "directories are the user's alone" same "$(find .labtasker -type d ! -perm 700)" ""
ok "so are files and sockets" same "$(find .labtasker ! -type d ! -perm 600)" ""

place closed
umask 777
ok "a queue where the umask takes all away" "$lt" submit -- --n 1 >/dev/null 2>&1
ok "a run" sh -c '"$0" loop -- true "%(n)" >/dev/null 2>&1' "$lt"
umask 022
ok "it is the user's all the same" same "$(find .labtasker -type d ! -perm 700 -o ! -type d ! -perm 600)" ""
ok "who can read it" same "$(count success)" 1

place taken
mkdir -m 755 dir fresh old
echo x >dir/file
: >old/client.toml
ok "a directory of others" status 1 env LABTASKER_ROOT=dir "$lt" submit -- --n 1
ok "is no queue's: it stays as it is" same "$(ls dir) $(ls -ld dir | cut -c1-10)" 'file drwxr-xr-x'
ok "and that is said" has 'dir: it holds other things.*LABTASKER_ROOT' err
ok "nor does serve put anything there" status 1 env LABTASKER_ROOT=dir "$lt" serve --port 0
ok "not even a lock" same "$(ls dir)" file
mkdir -m 755 served
LABTASKER_ROOT=served "$lt" serve --port 0 2>serve.err </dev/null &
ok "serve takes one that is empty" await test -s served/server.json
kill $!
wait $!
rm served/password
chmod 755 served
mkdir new
(cd new && exec "$lt" serve --port 0 --store "$PWD/.labtasker") 2>serve.err </dev/null &
ok "and the usual one by its whole path, before it is there" await test -s new/.labtasker/server.json
kill $!
wait $!
mkdir -m 755 disk disk/lost+found
for d in fresh old served disk; do
	ok "one that is $d" status 0 env LABTASKER_ROOT=$d "$lt" submit -- --n 1
	ok "is its user's alone then" same "$(ls -ld $d | cut -c1-10)" drwx------
done

place argv
echo "$secret" >pw
serve_port
LABTASKER_API_BASE_URL=$url
export LABTASKER_API_BASE_URL
kill -STOP $server
"$lt" queue create --password "$secret" --queue-name p >out 2>err </dev/null &
one=$!
"$lt" queue create --password="$secret" --queue-name q >out2 2>err2 </dev/null &
two=$!
blotted() { [ ! -r "/proc/$1/cmdline" ] || args "$1" | grep -q 'word[ =]\*'; }
mkdir waits && mkfifo waits/client.toml   # of its own: the others would wait at it, too
env LABTASKER_ROOT="$PWD/waits" "$lt" config queue.password="$secret" >/dev/null 2>&1 </dev/null &
three=$!
await blotted $one
await blotted $two
await blotted $three
ok "nobody reads it in the list of processes" sh -c '! printf %s "$1" | grep -q "$2"' x "$(args $one) $(args $two) $(args $three)" "$secret"
kill $three
wait $three 2>/dev/null
kill -CONT $server
wait $one && wait $two
ok "the queues are made" same "$?" 0
LABTASKER_QUEUE_NAME=q LABTASKER_PASSWORD_FILE=pw
export LABTASKER_QUEUE_NAME LABTASKER_PASSWORD_FILE
ok "it is the password" status 0 "$lt" submit -- --n 1
unset LABTASKER_PASSWORD_FILE
LABTASKER_PASSWORD=$secret
export LABTASKER_PASSWORD
ok "a job" status 0 "$lt" loop --no-use-pty -- sh -c 'env; cat "$LABTASKER_LOG_DIR"/*; : %(n)'
ok "has it neither in its environment nor in its directory" hasnt "$secret" out
ok "nor has the log of the server" hasnt "$secret" serve.err
ok "another queue" env LABTASKER_QUEUE_NAME=other sh -c '"$0" task ls >out 2>err; [ $? -eq 1 ]' "$lt"
ok "nor have messages" hasnt "$secret" err
unset LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD
ok "nor has the store" sh -c '! grep -rq "$1" store' x "$secret"

place background
ok "a server in the background, where cores may be left" status 0 sh -c 'ulimit -S -c "$(ulimit -H -c)"; exec "$0" submit --name private -- --n 1' "$lt"
pid=$(owner)
line=$(args "$pid")
ok "is not called by the command that started it" sh -c '! printf %s "$1" | grep -q private' x "$line"
[ -z "$line" ] || ok "but as a server" sh -c 'printf %s "$1" | grep -q " serve"' x "$line"
if [ -r "/proc/$pid/limits" ]; then
	ok "it leaves no core" sh -c 'grep -q "^Max core file size *[01] " "/proc/$1/limits"' x "$pid"
fi
# A sanitizer forbids core files, too, unless asked not to.
ASAN_OPTIONS=$ASAN_OPTIONS:disable_coredump=0
export ASAN_OPTIONS
ok "a job" sh -c 'ulimit -S -c "$(ulimit -H -c)"; ulimit -c >want; "$0" loop --no-use-pty -- sh -c "ulimit -c; : %(n)" >out 2>err </dev/null' "$lt"
ok "may leave one where it might" cmp want out

# Arguments of a task are data: for the shell, for paths, for terminals.
place args
evil="\$(touch pwned); touch pwned; \`touch pwned\` ' \" \\ ../../x${esc}]0;title${esc}\\ ${csi}31m"
"$lt" submit -- --t "$evil" >id 2>err || cat err
ok "as a word" status 0 "$lt" loop --no-use-pty -- printf '%s\n' '%(t)'
ok "it comes as it was given" same "$(cat out)" "$evil"
"$lt" submit -- --t "$evil" >id 2>err || cat err
ok "in a script" status 0 "$lt" loop --no-use-pty -c 'printf "%s\n" %(t)'
ok "too" same "$(cat out)" "$evil"
ok "nothing of it has run" test ! -e pwned
ok "ls" status 0 "$lt" task ls --no-pager
ok "shows no terminal what to do" tame out
ok "as JSON" status 0 "$lt" task ls --no-pager --json
ok "neither" tame out
ok "as a table" status 0 "$lt" task ls --no-pager --fields task_id,args.t
ok "neither" tame out
ok "what is refused is named" status 1 "$lt" task ls --no-pager -f "{\"\$a${esc}[1m${csi}1m\":1}"
ok "and neither" tame err
ok "no name leads out of its directory" status 2 "$lt" submit --name ../../x -- --n 1
ok "no id does" status 2 "$lt" loop --worker-id ../../x -- echo '%(t)'
