#!/bin/sh
# SPDX-License-Identifier: MIT
# Power cuts under load: a store on a file system of its own (an ext4 image on a loop device), which is shut down without writing
# anything more, CYCLES times (100), while clients submit, change, delete and run tasks.  After each, on the disk that is left: every
# acknowledged change is there, and nothing that was reported as a success is run again.  Then the same without syncs (--sync=never),
# to see that this test would notice.  What counts was acknowledged before the shutdown began: to a sync that is under way then ext4
# may say 0 and throw the data away, which no power cut can do.
#   sh tests/powercut.sh [LABTASKER]     CYCLES=100   CC   TMPDIR: where the image is (/dev/shm)   BUDGET: seconds, no more cycles after them
# Needs root and loop devices.  Where they cannot be had, the disk of the simulation (tests/sim.c) stands in, and that is said.
lt=${1:-./labtasker}
lt=$(cd "$(dirname "$lt")" && pwd)/$(basename "$lt")
CYCLES=${CYCLES:-100} CC=${CC:-cc}
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE LABTASKER_WORKER_ID
top=$PWD
[ -n "$TMPDIR" ] || [ ! -w /dev/shm ] || TMPDIR=/dev/shm   # the image's own disk need not be slow
export TMPDIR=${TMPDIR:-/tmp}
dir=$(cd "$(mktemp -d)" && pwd -P) || exit 2
$CC -O2 -o "$dir/cut" tests/fault/cut.c || exit 2
cd "$dir" || exit 2
m=$dir/m
mkdir m
groups= server= loop=
finish() {
	rc=$?
	for g in $groups; do kill -9 "-$g"; done
	[ -z "$server" ] || kill -9 $server
	umount -l m && losetup -d "$loop"
	cd / && [ -n "$KEEP" ] || rm -rf "$dir"
	exit $rc
} 2>/dev/null
trap finish EXIT
trap 'exit 1' INT TERM HUP

# A loop device for each time: were the last one still in use somewhere (a mount namespace that was copied), it would stay shut down.
attach() { loop=$(losetup -f --show image) && mount "$loop" m; }
away() {
	t=0
	while ! umount m 2>/dev/null; do
		t=$((t + 1))
		[ $t -lt 500 ] || return 1
		sleep 0.02
	done
	losetup -d "$loop"
}
fresh() { rm -f image && dd if=/dev/zero of=image bs=1M count=64 2>/dev/null && mkfs.ext4 -q -F image && attach; }
instead() {
	(cd "$top" && make -s sim SEEDS="${SEEDS:-2000}")
	rc=$?
	echo "powercut: NO FILE SYSTEM WAS CUT: $1; ${SEEDS:-2000} seeds on the simulation's disk stood in: exit status $rc"
	exit $rc
}
[ "$(id -u)" -eq 0 ] || instead "it takes root to mount an image"
fresh 2>why || instead "$(cat why)"
echo x >m/x && ./cut m 2>why || { away; instead "$(cat why)"; }
away && attach && [ ! -s m/x ] && away || instead "the cut lost nothing"

# ---- the load: each a process group of its own, which writes down what was acknowledged, outside of the image ----
# acks.WHO   there ID, mark ID N, gone ID (deleted), good ID (reported as a success)

export LABTASKER_ROOT="$m/q"
cat >submitter.sh <<'S'
n=0
while [ ! -f off ]; do
	id=$("$1" task submit --max-retries 9 --name "$2" -- --n "$n" 2>>err) || continue
	echo "there $id" >>acks.$2
	case $((n % 8)) in
	3) "$1" task update --id "$id" -u metadata.mark="$n" -q >/dev/null 2>>err && echo "mark $id $n" >>acks.$2 ;;
	6) echo "$id" >>doomed.$2 && "$1" task delete -y "$id" >/dev/null 2>>err && echo "gone $id" >>acks.$2 ;;
	esac
	n=$((n + 1))
done
S
# One task is changed over and over, by 100 KiB each time, so that the journal is compacted under load too.
# What it did is a line more of each file: one that is written anew is empty for a moment, in which others read it, or it is killed.
cat >changer.sh <<'S'
while [ ! -f off ]; do
	n=$(($(tail -n 1 big.n) + 1))
	echo $n >>big.n
	"$1" task update --id "$(cat big)" -u metadata.mark="$n" -u metadata.blob="$(cat blob)" -q >/dev/null 2>>err && echo $n >>big.acked
done
S
# A job that begins tells that the one before in its loop is reported: a loop with one slot has the answer by then.
cat >job.sh <<'J'
! grep -q -x "good $LABTASKER_TASK_ID" acks.* || echo "$LABTASKER_TASK_ID" >>twice
cat last.$1 >>acks.$1
echo "good $LABTASKER_TASK_ID" >last.$1
J
cat >worker.sh <<'W'
while [ ! -f off ]; do
	: >last.$2
	"$1" loop --require n --heartbeat-timeout 600 -- sh ./job.sh "$2" >/dev/null 2>>err && cat last.$2 >>acks.$2
done
W

groups=
start() { setsid sh "$@" </dev/null >/dev/null 2>&1 & groups="$groups $!"; }

# serve SYNC: a server of the store; waits until it listens.
serve() {
	"$lt" serve --unix "$dir/sock" --sync="$1" </dev/null >>serve.log 2>&1 &
	server=$! t=0
	until grep -q "\"pid\": *$server," m/q/server.json 2>/dev/null; do
		t=$((t + 1))
		kill -0 $server 2>/dev/null && [ $t -lt 1000 ] || { echo "  the server does not start: $(tail -n 1 serve.log)"; return 1; }
		sleep 0.01
	done
}

# cycle SYNC HUNDREDTHS: load, cut, everybody is dead, the disk comes back.
cycle() {
	rm -f off
	serve "$1" || return 1
	start submitter.sh "$lt" a
	start submitter.sh "$lt" b
	start changer.sh "$lt"
	start worker.sh "$lt" 1
	start worker.sh "$lt" 2
	sleep "0.$2"
	cat acks.* | sort -u >sure
	surely=$(tail -n 1 big.acked)
	./cut m
	: >off
	for g in $groups; do kill -9 "-$g" 2>/dev/null; done
	kill -9 $server 2>/dev/null   # it may have ended by itself: it cannot go on
	wait
	groups= server=
	away && attach
}

# What is there, against what was acknowledged: losses.  What was not sure to be kept and was not is forgotten.
check() {
	serve "$1" || { losses=1; return; }
	"$lt" task ls --no-pager --fmt jsonl >all 2>>err
	kill $server
	wait $server
	server=
	cat acks.* | sort -u >said
	sed 's/^{"task_id":"\([^"]*\)".*/there \1/' all >is
	sed -n 's/^{"task_id":"\([^"]*\)".*"status":"success".*/good \1/p' all >>is
	sed -n 's/^{"task_id":"\([^"]*\)".*"metadata":{"mark":\([0-9]*\).*/mark \1 \2/p' all >>is
	sed -n 's/^gone //p' said | while read -r id; do grep -q "^there $id" is || echo "gone $id" >>is; done
	sort is >holds
	comm -23 sure holds >lost
	cat doomed.* 2>/dev/null >doomed
	grep -v -F -f doomed lost >missing   # of what was to be deleted only that counts
	grep '^gone ' lost >>missing
	[ "$(sed -n "s/^mark $(cat big) //p" holds)" -ge "$surely" ] 2>/dev/null || echo "big $surely" >>missing
	[ ! -f twice ] || sed 's/^/run twice: /' twice >>missing
	losses=$(wc -l <missing)
	[ "$losses" -eq 0 ] || { echo "  of $(wc -l <sure) there are not: $losses"; head -n 5 missing; }
	comm -12 said holds >kept
	rm -f acks.*
	mv kept acks.kept
}

inode() { ls -i m/q/journal | sed 's/ *\([0-9]*\).*/\1/'; }

# run SYNC CYCLES: a new disk, so many cycles; stops at the first loss.
run() {
	rm -f acks.* doomed.* twice
	: >acks.kept
	: >doomed.x
	: >serve.log
	echo 0 >big.n
	echo 0 >big.acked
	fresh && serve "$1" && "$lt" task submit --name big --max-retries 9 -- --big 1 >big 2>>err || return 1
	kill $server
	wait $server
	server= k=0 rand=1 losses=0 compacted=0 inode=$(inode)
	while [ $k -lt "$2" ] && [ $losses -eq 0 ] && [ "$(date +%s)" -lt "$end" ]; do
		k=$((k + 1))
		rand=$(((rand * 1103515245 + 12345) % 2147483648))
		cycle "$1" "$((rand / 65536 % 4))$((rand / 1024 % 10))" || { losses=1; break; }
		[ "$(inode)" = "$inode" ] || compacted=$((compacted + 1))
		inode=$(inode)
		check "$1"
	done
	away
	acked=$(($(wc -l <sure) + surely))
}

end=$(($(date +%s) + ${BUDGET:-100000}))
head -c 100000 /dev/zero | tr '\0' x >blob
run always "$CYCLES"
if [ $losses -ne 0 ]; then
	echo "powercut: after $k cuts what was acknowledged is not there"
	echo "powercut: 0 passed, 1 failed"
	exit 1
fi
text="$k cuts, $acked acknowledged changes, $compacted journals written anew under them: all there"
end=$((end + 100))
run never 20
[ $losses -ne 0 ] || { echo "powercut: $text; but without syncs too: this test shows nothing: 0 passed, 1 failed"; exit 1; }
echo "powercut: $text; without syncs cut $k lost something, as it should: 1 passed, 0 failed"
