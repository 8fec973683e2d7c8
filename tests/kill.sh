#!/bin/sh
# SPDX-License-Identifier: MIT
# Kills at random, under load: kill -9 of the server and of workers, KILLS times (200).  Then: every acknowledged task is there and
# has ended, no task ever had two live jobs, and no job outlived its worker by more than 2 s.
#   sh tests/kill.sh [LABTASKER]     KILLS=200 TASKS=300 SEED=1
lt=${1:-./labtasker}
lt=$(cd "$(dirname "$lt")" && pwd)/$(basename "$lt")
KILLS=${KILLS:-200} TASKS=${TASKS:-300} SEED=${SEED:-1} WORKERS=4
dir=$(mktemp -d) || exit 2
cd "$dir" || exit 2
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE LABTASKER_WORKER_ID
mkdir live workers jobs
: >trouble
: >acked

# A job says who it is (its pid lives in live/ID while it does) and looks whether another live one has its task.
cat >job.sh <<'J'
#!/bin/sh
id=$LABTASKER_TASK_ID
if ! mkdir "live/$id" 2>/dev/null; then
	old=$(cat "live/$id/pid" 2>/dev/null)
	if [ -n "$old" ] && tr '\0' '\n' 2>/dev/null <"/proc/$old/environ" | grep -qx "LABTASKER_TASK_ID=$id"; then
		echo "double: $id: $old and $$" >>trouble
	fi
fi
echo $$ >"live/$id/pid"
echo "$PPID" >"jobs/$$"
sleep "0.$(($$ % 5))"
rm -rf "live/$id"
rm -f "jobs/$$"
J
chmod +x job.sh

worker() {
	"$lt" loop --heartbeat-timeout 3 -- ./job.sh '%(n)' </dev/null >>out.$1 2>>err.$1 &
	echo $! >workers/$1
}
submitter() {
	i=0
	while [ ! -f killed ] || [ "$i" -lt "$TASKS" ]; do   # there is always something to do
		id=$("$lt" submit --max-retries 1000 -- --n "$i" 2>>err.submit) && echo "$id" >>acked
		i=$((i + 1))
		[ -f killed ] || sleep 0.05
	done
	: >submitted
}
"$lt" submit --max-retries 1000 -- --n first >>acked || exit 2
submitter &
k=0 servers=0 busy=0
rand=$SEED
while [ "$k" -lt "$KILLS" ]; do
	for w in $(seq $WORKERS); do
		[ -f workers/$w ] && kill -0 "$(cat workers/$w)" 2>/dev/null || worker $w
	done
	rand=$(((rand * 1103515245 + 12345) % 2147483648))
	sleep "0.$((rand / 65536 % 3))$((rand / 1024 % 10))"
	victim=$((rand / 65536 % (WORKERS + 1)))
	if [ "$victim" -eq 0 ]; then
		pid=$(sed 's/.*"pid": *\([0-9]*\).*/\1/' .labtasker/owner 2>/dev/null)
		[ -n "$pid" ] && kill -9 "$pid" 2>/dev/null && servers=$((servers + 1))
	else
		pid=$(cat workers/$victim)
		jobs=$(grep -lx "$pid" jobs/* 2>/dev/null | sed 's,.*/,,')
		[ -n "$jobs" ] && busy=$((busy + 1))
		kill -9 "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
		for j in $jobs; do
			t=0
			while kill -0 "$j" 2>/dev/null && grep -q job.sh "/proc/$j/cmdline" 2>/dev/null; do
				t=$((t + 1))
				[ "$t" -gt 20 ] && { echo "orphan: $j of $pid lives 2 s later" >>trouble; break; }
				sleep 0.1
			done
			rm -f "jobs/$j"
		done
	fi
	k=$((k + 1))
done
: >killed
t=0
while [ ! -f submitted ] && [ "$t" -lt 600 ]; do sleep 0.2; t=$((t + 1)); done

# Everything that is left is run to its end.
t=0
while [ "$t" -lt 120 ]; do
	"$lt" loop --heartbeat-timeout 3 -- ./job.sh '%(n)' </dev/null >>out.end 2>>err.end
	left=$("$lt" task ls -q -s pending --no-pager; "$lt" task ls -q -s running --no-pager)
	[ -z "$left" ] && break
	sleep 0.5
	t=$((t + 1))
done
for w in $(seq $WORKERS); do [ -f workers/$w ] && kill -9 "$(cat workers/$w)" 2>/dev/null; done
"$lt" task ls -q --no-pager | sort >there
"$lt" task ls -q -s success --no-pager | sort >good
sort acked >acked.sorted
lost=$(comm -23 acked.sorted there | wc -l)
unfinished=$(comm -23 acked.sorted good | wc -l)
doubles=$(grep -c '^double' trouble)
orphans=$(grep -c '^orphan' trouble)
echo "kill: $KILLS kills ($servers of the server, $busy of a worker with a job), $(wc -l <acked) acknowledged tasks: $lost lost, $unfinished not ended in success, $doubles with two live owners, $orphans orphans"
pid=$(sed 's/.*"pid": *\([0-9]*\).*/\1/' .labtasker/owner 2>/dev/null)
[ -n "$pid" ] && kill "$pid"
bad=$((lost + unfinished + doubles + orphans))
if [ "$bad" -eq 0 ] && [ "$(wc -l <acked)" -ge "$((TASKS / 2))" ]; then
	cd / && rm -rf "$dir"
	echo "kill: 1 passed, 0 failed"
else
	cat trouble
	echo "kill: what is left lies in $dir"
	echo "kill: 0 passed, 1 failed"
	exit 1
fi
