# SPDX-License-Identifier: MIT
# Poor machines (OURS 7): each works, or says in one line what is missing.
. tests/lib.sh

place nohome
ok "an empty environment" status 0 env -i "$lt" submit -- --n 1
ok "a job in it" status 0 env -i "$lt" loop -- echo 'got %(n)'
ok "runs" has 'got 1' out

place few
ok "ulimit -n 32: submit starts a server" sh -c 'ulimit -n 32; "$0" submit -- --n 1 >id 2>err' "$lt"
ok "ulimit -n 32: the loop runs" sh -c 'ulimit -n 32; "$0" loop -- echo "got %(n)" >out 2>err </dev/null' "$lt"
ok "its job" has 'got 1' out
i=0
while [ $i -lt 40 ]; do
	"$lt" submit -- --n $i >id.$i 2>err.$i </dev/null &
	i=$((i + 1))
done
wait
ok "40 clients of a server with 32 descriptors" same "$(cat id.* | sort -u | wc -l | tr -d ' ')" 40
ok "all are there" same "$(count pending)" 40

place readonly
mkdir -p "$base/elsewhere" cwd
cd cwd || exit 2
id=$(id -u)
chmod 555 .
if [ "$id" -ne 0 ]; then
	ok "a read-only directory" sh -c '"$0" submit -- --n 1 2>"$1/err"; [ $? -eq 1 ] && [ $(wc -l <"$1/err") -eq 1 ]' "$lt" "$base"
fi
LABTASKER_ROOT=$base/elsewhere/q
export LABTASKER_ROOT
ok "a read-only directory with LABTASKER_ROOT elsewhere" sh -c '"$0" submit -- --n 1 >"$1/id" 2>"$1/err"' "$lt" "$base"
ok "the loop there" sh -c '"$0" loop -- echo "got %(n)" >"$1/out" 2>"$1/err" </dev/null' "$lt" "$base"
ok "its job" has 'got 1' "$base/out"
unset LABTASKER_ROOT

# A file system without room: the file size limit stands in for the full disk, for everybody can set it.
place full
big=$(head -c 120000 /dev/zero | tr '\0' x)
cat >serve.sh <<'S'
ulimit -f 2100   # blocks: room for the reserve, and for some tasks
exec "$1" serve --host 127.0.0.1 --port 0 --store store
S
"$lt" submit -- --warm up >/dev/null 2>&1
sh serve.sh "$lt" 2>serve.err </dev/null &
server=$!
await test -f store/server.json
url=$(address)
export LABTASKER_API_BASE_URL=$url LABTASKER_QUEUE_NAME=q LABTASKER_PASSWORD=p
ok "queue create" status 0 "$lt" queue create --queue-name q --password p
i=0
: >acked
while [ $i -lt 30 ] && [ "$(lines acked)" -eq $i ]; do
	timeout 3 "$lt" submit -- --n $i --big "$big" >>acked 2>>err.full </dev/null
	i=$((i + 1))
done
ok "some were kept, then one refused" sh -c '[ "$1" -gt 0 ] && [ "$1" -lt 30 ]' x "$(lines acked)"
ok "the server lives and reads go on" status 0 "$lt" task ls --no-pager -q
sort acked >a
sort out >b
ok "what was acknowledged is there, and nothing else" cmp a b
ok "it said so" has 'changes are refused' serve.err
kill -9 $server
wait $server 2>/dev/null
serve_port
LABTASKER_API_BASE_URL=$url
ok "with room again" status 0 "$lt" task ls --no-pager -q
sort out >b
ok "the same after a restart" cmp a b
ok "and it goes on" status 0 "$lt" submit -- --n 99
kill $server
wait $server
unset LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD

place nolog
"$lt" submit -- --n 1 >id 2>err
kill "$(owner)"
await test ! -e .labtasker/owner
ok "a server that could not even log why it does not start" has 'labtasker/owner[^:]*: [A-Z]' "$(
	(ulimit -f 0; "$lt" task ls 2>&1 </dev/null) | cat >said; echo said)"

# bare NAME [COMMAND...]: the program and busybox in root, and nothing else; COMMAND does what chroot does.
bare() {
	who=$1
	shift
	[ $# -gt 0 ] || set -- chroot
	rm -rf root/q && mkdir root/q && chmod 777 root/q
	export LABTASKER_ROOT=/q/.labtasker
	ok "$who: submit" status 0 "$@" root /lt submit -- --n 1
	ok "$who: a job by busybox's sh" status 0 "$@" root /lt loop -- /bin/sh -c 'echo "got $0 $LABTASKER_TASK_ID"' '%(n)'
	ok "$who: has run" has "got 1 $(sed 's/^- *//' out | cut -d ' ' -f 3)" out
	ok "$who: a script" status 0 sh -c '"$@" root /lt submit -- --n 2 && exec "$@" root /lt loop -c "echo script %(n)"' x "$@"
	ok "$who: has run" has 'script 2' out
	ok "$who: ls" status 0 "$@" root /lt task ls --no-pager -s success -q
	ok "$who: has both" same 2 "$(lines out)"
	LABTASKER_ROOT=$PWD/root/q/.labtasker
	if [ "$1" = unshare ]; then
		rm "$LABTASKER_ROOT/owner"   # it ended with process 1; here its number is another's
	else
		kill "$(owner "$LABTASKER_ROOT")"
		await test ! -e "$LABTASKER_ROOT/owner"
	fi
	ok "$who: seen from outside" same 2 "$(count success 2>/dev/null)"
	kill "$(owner "$LABTASKER_ROOT")"
	await test ! -e "$LABTASKER_ROOT/owner"
	unset LABTASKER_ROOT
	"$@" root /lt serve --host 127.0.0.1 --port 0 --store /q/store 2>said </dev/null & server=$!
	ok "$who: serve" await test -f root/q/store/server.json
	url=$(address root/q/store)
	ok "$who: a queue there" status 0 env LABTASKER_API_BASE_URL="$url" "$lt" queue create --queue-name q --password p
	child=$(cat /proc/$server/task/$server/children 2>/dev/null)   # of unshare
	kill ${child:-$server}
	wait $server
	ok "$who: which TERM ends" test ! -e root/q/store/server.json
}

# As root: nobody's user id without a passwd entry; a root directory with nothing in it, so no /dev/urandom, no /tmp, no /proc.
if [ "$id" -eq 0 ] && command -v chroot >/dev/null; then
	place nobody
	mkdir q && chown 54321:54321 q
	cp "$lt" ./lt && chmod 755 ./lt && chmod 755 "$base" .
	if chroot --userspec=54321:54321 / /bin/true 2>/dev/null; then   # not busybox's
		ok "no passwd entry" sh -c 'cd q && chroot --userspec=54321:54321 / /bin/sh -c "cd \"$0\" && env -i ../lt submit -- --n 1 >id 2>err && env -i ../lt loop -- echo got >out 2>>err </dev/null"' "$PWD/q"
		ok "runs" has got q/out
	fi
	place empty
	mkdir -p root/q
	cp "$lt" root/lt
	if chroot root /lt --version >/dev/null 2>&1; then   # it is static
		ok "an empty root directory" sh -c 'cd root/q && chroot .. /lt --version >/dev/null && chroot .. /bin/true 2>/dev/null; LABTASKER_ROOT=/q/.labtasker chroot .. /lt submit -- --n 1 >id 2>err' 
		ok "says that there is no /dev/urandom" has urandom root/q/err
		ok "and works" same "$(wc -c <root/q/id | tr -d ' ')" 37
		cp "$lt" root/job
		ok "with the program itself as its job" sh -c 'cd root/q && LABTASKER_ROOT=/q/.labtasker chroot .. /lt loop -- /job --version >out 2>err </dev/null'
		busybox=$(command -v busybox)
		if [ -n "$busybox" ] && mkdir root/bin && cp "$busybox" root/bin/sh && chroot root /bin/sh -c : 2>/dev/null; then
			bare 'as root'
			! chroot --userspec=65534:65534 / /bin/true 2>/dev/null || bare 'as nobody' chroot --userspec=65534:65534
			unshare -pf true 2>/dev/null && bare 'as process 1' unshare -pf chroot
		else
			skipped='no static busybox: nothing was tried beside it alone'
		fi
	else
		skipped='not static: nothing was tried in an empty root directory'
	fi
fi

# The clock at 1970: the C library's own clock is asked through a library that lies.
place clock
cat >clock.c <<'C'
#include <sys/time.h>
int gettimeofday(struct timeval *restrict tv, void *restrict tz) { (void)tz; tv->tv_sec = 3; tv->tv_usec = 7; return 0; }
C
if ${CC:-cc} -shared -fPIC -o clock.so clock.c 2>/dev/null && LD_PRELOAD=$PWD/clock.so "$lt" --version >/dev/null 2>&1 &&
    LD_PRELOAD=$PWD/clock.so echo x 2>/dev/null | grep -q x && LD_PRELOAD=$PWD/clock.so sh -c : 2>/dev/null; then
	ok "the clock at 1970" sh -c 'LD_PRELOAD=$PWD/clock.so "$0" submit -- --n 1 >id 2>err' "$lt"
	ok "the loop then" sh -c 'LD_PRELOAD=$PWD/clock.so "$0" loop -- echo "got %(n)" >out 2>err </dev/null' "$lt"
	ok "its job" has 'got 1' out
	kill "$(owner)"
fi
