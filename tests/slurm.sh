#!/bin/sh
# SPDX-License-Identifier: MIT
# The loop and contrib/slurm/ under a real Slurm: a cluster of one node on loopback, without cgroups, started and ended here.
#   sh tests/slurm.sh [LABTASKER]     needs root, slurmctld, slurmd, munged, sbatch
LABTASKER=${1:-./labtasker}
cd "$(dirname "$0")/.." || exit 2
. tests/lib.sh
patience=90   # for a scheduler that takes its time
for p in slurmctld slurmd munged sbatch; do
	command -v $p >/dev/null || { echo "slurm.sh: no $p here: apt-get install slurm-wlm" >&2; failed=1; exit 1; }
done
host=$(hostname -s)
conf=$base/conf
mkdir -p "$conf/state" "$conf/spool" "$conf/munge" "$base/bin"
chmod 755 "$base"
chmod 700 "$conf/munge"
ln -s "$lt" "$base/bin/labtasker"
PATH=$base/bin:$PATH SLURM_CONF=$conf/slurm.conf
export PATH SLURM_CONF
head -c 1024 /dev/urandom >"$conf/munge/key"
chmod 400 "$conf/munge/key"
port=$((12000 + $$ % 20000))
cat >"$SLURM_CONF" <<C
ClusterName=loopback
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$conf/munge/socket
StateSaveLocation=$conf/state
SlurmdSpoolDir=$conf/spool
SlurmctldPidFile=$conf/slurmctld.pid
SlurmdPidFile=$conf/slurmd.pid
SlurmctldLogFile=$conf/slurmctld.log
SlurmdLogFile=$conf/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
RequeueExit=75
NodeName=$host NodeAddr=127.0.0.1 CPUs=16 State=UNKNOWN
PartitionName=work Nodes=$host Default=YES PriorityTier=9 MaxTime=INFINITE State=UP
PartitionName=spare Nodes=$host PriorityTier=1 MaxTime=INFINITE State=UP
C

cluster_down() {
	scancel --me 2>/dev/null
	t=0
	while [ -n "$(squeue -h 2>/dev/null)" ] && [ $t -lt 100 ]; do sleep 0.1; t=$((t + 1)); done
	for p in slurmd slurmctld munged; do
		pid=$(cat "$conf/$p.pid" 2>/dev/null) || continue
		kill "$pid" 2>/dev/null
		await gone "$pid"
	done
}
trap 'cluster_down; finish' EXIT
munged --force --socket="$conf/munge/socket" --key-file="$conf/munge/key" --pid-file="$conf/munged.pid" \
    --log-file="$conf/munge/log" --seed-file="$conf/munge/seed" || exit 2
slurmctld && slurmd || exit 2
idle() { sinfo -h -o %t | grep -q idle; }
ok "a cluster" await idle || { cat "$conf"/*.log; exit 1; }

# batch ARGS...: a job's id.
batch() { sbatch --parsable --output="$PWD/%j.out" "$@"; }
state() { squeue -h -t all -o %T -j "$1" 2>/dev/null | sort -u | tr '\n' ' '; }
# No answer is no end, and there are many states on the way to one.
ended() {
	states=$(state "$1")
	for s in $states; do
		case $s in COMPLETED | FAILED | CANCELLED | TIMEOUT) ;; *) return 1 ;; esac
	done
	[ -n "$states" ]
}
requeued() { [ "$(state "$1")" = "PENDING " ]; }
code() { scontrol show job "$1" | sed -n 's/.* ExitCode=\([0-9]*\):.*/\1/p'; }
# A requeued job would wait for two minutes; but in the second of its end slurmd would refuse it ("credential revoked").
release() { ok "$2 is requeued" await requeued "$1" && scontrol update jobid="$1" starttime=now+2; }
field() { "$lt" task ls --no-pager --fmt jsonl | grep "\"n\": *$1[,}]" | sed -n "s/.*\"$2\": *\"*\([^,\"}]*\).*/\1/p"; }
submit() { "$lt" submit -- --n "$1" >/dev/null 2>&1; }
# A queue in a directory of its own, with a server outside Slurm.
queue() {
	place "$1"
	"$lt" serve --host 127.0.0.1 --port 0 2>serve.err &
	await test -f .labtasker/server.json
}
# Says that it runs, and does so until the file go is there.
cat >"$base/job.sh" <<'J'
echo "$1 $LABTASKER_TASK_ID" >>started
until [ -f go ]; do sleep 0.1; done
echo "$1" >>done
J

# What Slurm does late is begun first: its time limits are of whole minutes.
queue limit
for n in 1 2 3; do submit $n; done
limit=$(batch --time=1 --array=1-2 "$top/contrib/slurm/array.sbatch" --grace 40 --warn-signal USR1 -- \
    sh -c 'echo up $1 >>started; trap "echo \$1 >>warned; exit 3" USR1; [ ! -f go ] || exit 0; while :; do sleep 0.1; done' x '%(n)')
queue left
for n in 1 2 3 4 5 6 7 8 9; do submit $n; done
: >done
left=$(batch --time=1 "$top/contrib/slurm/worker.sbatch" --grace 5 --min-left 46 -- sh -c 'sleep 2; echo $1 >>done' x '%(n)')
queue signal
for n in 1 2; do submit $n; done
signal=$(batch --time=60 --signal=B:USR2@30 --open-mode=append --wrap "exec labtasker loop -- sh $base/job.sh '%(n)'")
await test -s started   # for Slurm may be a minute early, as the man page says, and would find a shell
scontrol update jobid="$signal" timelimit=1

queue array
n=0
while [ $n -lt 40 ]; do submit $n; n=$((n + 1)); done
id=$(batch "$top/contrib/slurm/array.sbatch" -- sh -c 'echo "$1" >>done; sleep 0.2' x '%(n)')
ok "an array job ends" await ended "$id"
ok "all its workers with 0" same "$(code "$id" | tr '\n' ' ')" "0 0 0 0 "
ok "each task ran once" same "$(sort -n done | tr '\n' ' ')" "$(seq 0 39 | tr '\n' ' ')"
ok "all succeeded" same "$(count success)" 40
ok "no worker is left" same "$("$lt" worker ls --no-pager -q | wc -l | tr -d ' ')" 0

# scancel: TERM to every process, the job's too, in no order; so the job may die of it before the loop has heard of it.
queue scancel
submit 1
r=0
while [ $r -lt 5 ]; do
	rm -f started
	id=$(batch "$top/contrib/slurm/worker.sbatch" -- sh "$base/job.sh" '%(n)')
	await test -s started
	scancel "$id"
	ok "scancel ends the job" await ended "$id"
	ok "its task is back, round $r" same "$(field 1 status)" pending
	ok "uncharged" same "$(field 1 retries)" 0
	r=$((r + 1))
done
rm -f started
id=$(batch "$top/contrib/slurm/worker.sbatch" --grace 2 -- sh -c 'trap "" TERM; echo up >started; while :; do sleep 0.1; done' x '%(n)')
await test -s started
scancel "$id"
ok "a job that is deaf to TERM" await ended "$id"
ok "is killed and handed back within KillWait" same "$(field 1 status) $(field 1 retries)" "pending 0"
: >go
id=$(batch "$top/contrib/slurm/worker.sbatch" -- sh "$base/job.sh" '%(n)')
ok "another worker" await ended "$id"
ok "finishes it" same "$(field 1 status)" success

queue requeue
for n in 1 2; do submit $n; done
id=$(batch "$top/contrib/slurm/worker.sbatch" -- sh "$base/job.sh" '%(n)')
await test -s started
scontrol requeue "$id"
release "$id" "the job"
ok "its task was handed back" same "$(count running) $(count pending)" "0 2"
: >go
ok "it carries on" await ended "$id"
ok "to the end" same "$(count success)" 2
ok "nobody was charged" same "$(field 1 retries) $(field 2 retries)" "0 0"

queue preempt
for n in 1 2; do submit $n; done
id=$(batch --partition=spare -c 10 "$top/contrib/slurm/worker.sbatch" -- sh "$base/job.sh" '%(n)')
await test -s started
urgent=$(batch -c 10 --wrap 'until [ -f over ]; do sleep 0.1; done')
release "$id" "a preempted job"
ok "its task was handed back" same "$(count running) $(count pending)" "0 2"
: >go
: >over
ok "it carries on" await ended "$id"
ok "to the end" same "$(count success)" 2
ok "nobody was charged" same "$(field 1 retries) $(field 2 retries)" "0 0"

queue gpus
for n in 1 2 3 4; do submit $n; done
CUDA_VISIBLE_DEVICES=4,5,6,7
export CUDA_VISIBLE_DEVICES
id=$(batch "$top/contrib/slurm/gpus.sbatch" -- sh -c 'echo "$CUDA_VISIBLE_DEVICES" >>seen; until [ "$(wc -l <seen)" -ge 4 ]; do sleep 0.1; done' x '%(n)')
unset CUDA_VISIBLE_DEVICES
ok "a job with four GPUs" await ended "$id"
ok "runs four tasks at once, each with one of them" same "$(sort seen | tr '\n' ' ')" "4 5 6 7 "
ok "all succeeded" same "$(count success)" 4

# A server inside the job; outside it there is one for a moment, for each command that asks.
place server
for n in 1 2; do submit $n; done
kill "$(owner)"
await test ! -f .labtasker/server.json
SERVER_HOST=127.0.0.1
export SERVER_HOST
id=$(batch "$top/contrib/slurm/server.sbatch" -- sh "$base/job.sh" '%(n)')
await test -s started
scancel "$id"
ok "a server and its worker in one job" await ended "$id"
ok "scancel: the task was handed back before the server ended" same "$(field 1 status) $(field 1 retries)" "pending 0"
kill "$(owner)"
await test ! -f .labtasker/server.json
: >go
id=$(batch "$top/contrib/slurm/server.sbatch" -- sh "$base/job.sh" '%(n)')
ok "submitted again" await ended "$id"
ok "it carries on to the end" same "$(count success)" 2

# What was begun first.
cd "$base/left" || exit 2
ok "a time limit: 75, for nothing is fetched below --min-left" await requeued "$left"
scancel "$left"
ok "with tasks left, none running, none failed" sh -c '[ "$1" -gt 0 ] && [ "$2" -eq 0 ] && [ "$3" -eq 0 ]' x "$(count pending)" "$(count running)" "$(count failed)"
ok "what was begun was finished" same "$(count success)" "$(lines done)"
cd "$base/limit" || exit 2
release "$limit" "an array whose time is over (exit status 75)"
ok "its jobs were warned" same "$(sort warned | tr '\n' ' ')" "1 2 "
ok "and their tasks handed back" same "$(count running) $(count pending)" "0 3"
: >go
ok "it carries on" await ended "$limit"
ok "to the end" same "$(count success) $(field 1 retries) $(field 2 retries)" "3 0 0"
cd "$base/signal" || exit 2
await test -s started
told() { grep -q 'no more tasks' ./*.out; }
ok "--signal=USR2: no more tasks" await told
scontrol update jobid="$signal" timelimit=60
: >go
release "$signal" "a job that ends with 75 (RequeueExit)"
ok "the task that ran was finished" same "$(count success) $(count pending)" "1 1"
ok "it carries on" await ended "$signal"
ok "to the end" same "$(count success)" 2
