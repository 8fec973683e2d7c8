# SPDX-License-Identifier: MIT
# One process for many tasks (loop --pipe), and contrib/labtasker.py over it.
. tests/lib.sh

submit() { "$lt" submit "$@" >/dev/null 2>&1; }
fields() { "$lt" task ls --no-pager --fmt jsonl "$@" >ls; }
# example NAME: the example of that name in PROTOCOL.
example() { sed -n "/^      # $1\$/,/^[^ ]/p" "$top/PROTOCOL" | sed '/^[^ ]/d; s/^      //' >"$1"; }
# job: the process for the tests; its line of args names what it does.
job() {
	cat >job.sh <<'J'
echo "up $$" >&2
while read -r task; do
	case $task in
	*'"do":"exit"'*) echo last words; exit 7 ;;
	*'"do":"hang"'*) echo hanging; while :; do sleep 0.05; done ;;
	*'"do":"failed"'*) echo why >&2; echo '{"status":"failed"}' ;;
	*'"do":"nan"'*) echo '{"status":"success","summary":{"loss":NaN}}' ;;
	*'"do":"status"'*) echo '{"status":"done"}' ;;
	*'"do":"other"'*) echo '{"status":"success","task_id":"11111111-1111-1111-1111-111111111111"}' ;;
	*'"do":"twice"'*) printf '{"status":"success"}\n{"status":"success"}\n' ;;
	*'"do":"leave"'*) printf ' {"status":"success"}'; exit 0 ;;
	*'"do":"quiet"'*) exit 0 ;;
	*'"do":"finish"'*)
		dir=$(printf '%s\n' "$task" | sed 's/.*"log_dir":"\([^"]*\)".*/\1/')
		LABTASKER_LOG_DIR=$dir "$LT" finish --status failed --summary '{"by": "finish"}' && echo '{"status":"success"}' ;;
	*) echo "some text"; echo '{"status":"success","summary":{"by":"line"}}' ;;
	esac
done
echo "end of stdin"
J
}
LT=$lt
export LT

place many
job
for i in 1 2 3 4 5; do submit -- --n $i; done
ok "--pipe" status 0 "$lt" loop --pipe --require n -- sh job.sh
ok "all succeeded" same "$(count success)" 5
ok "by one process" same "$(grep -c '^up' err)" 1
ok "whose stdin ended" has 'end of stdin' out
fields
ok "the summary is the line's" has '"summary":{"by":"line"' ls
ok "what else it wrote is shown" same "$(grep -c 'some text' out)" 5
ok "and logged" has 'some text' "$(ls -d .labtasker/logs/run/*"$(sed -n '1s/.*"task_id":"\([^"]*\)".*/\1/p' ls)"*)/run.log"
ok "the first run's log has its stderr" same "$(cat .labtasker/logs/run/*/run.log | grep -c '^up')" 1
ok "status.json" has success "$(ls -d .labtasker/logs/run/* | head -n 1)/status.json"

place broken
job
for what in exit failed nan status other; do submit --max-retries 1 -- --do $what; done
submit -- --do well
ok "what goes wrong" status 0 "$lt" loop --pipe --worker-max-retries 9 --require do -- sh job.sh
ok "fails its task alone" same "$(count failed) $(count success)" "5 1"
ok "and starts the process anew" same "$(grep -c '^up' err)" 5
fields -s failed
ok "its exit status is in the message" has 'ended without a result, exit code: 7' ls
ok "and on stderr" has "failed: no result, exit status 7" err
ok "its output is the traceback" has '"traceback":"[^"]*last words' ls
ok "failed by its result" has '"message":"Job process said that the task failed","traceback":"[^"]*why' ls
ok "no JSON" has '_LabtaskerBadResult[^}]*NaN' ls
ok "another status" has 'neither ..success.. nor ..failed' ls
ok "another task's id" has "is another task's" ls

place mute
for n in 1 2; do submit --max-retries 1 -- --do $n; done
ok "a process that closes its stdout and lives on" status 0 "$lt" loop --pipe --require do -- sh -c 'read -r line; exec >&-; while :; do sleep 0.1; done'
ok "fails its task" same "$(count failed)" 2
ok "for it can have no result" has 'closed its stdout' err

place steps
job
submit -- --do twice
submit -- --do leave
submit -- --do well
submit --max-retries 1 -- --do quiet
ok "results out of step, and an end after a result" status 0 "$lt" loop --pipe --require do -- sh job.sh
ok "hurt no task" same "$(count success) $(count failed)" "3 1"
ok "a second result is named" has "no task's result" err
fields -s failed
ok "an end without a result is a failure" has 'exit code: 0' ls

place unread
submit -- --n 1
submit -- --n 2
ok "a process for one task" status 0 "$lt" loop --pipe --require n -- sh -c 'read -r task; echo "{\"status\":\"success\"}"'
ok "leaves the next to another" same "$(count success)" 2
submit --max-retries 1 -- --n 3
ok "one that reads nothing" status 0 "$lt" loop --pipe --require n -- sh -c 'exit 0'
ok "fails it" same "$(count failed)" 1
submit --max-retries 1 -- --n 4
ok "none to start" status 0 "$lt" loop --pipe --require n -- ./none
ok "fails it too" same "$(count failed)" 2

place shape
job
submit -- --n 1 --more 2
ok "--require is exact" status 0 "$lt" loop --pipe --require n -- sh job.sh
ok "a task with more args is left" same "$(count pending)" 1
ok "without it every task" status 0 "$lt" loop --pipe -- sh job.sh
ok "is taken" same "$(count success)" 1
ok "which is said" has 'takes every task' err
ok "%(...) is refused" status 2 "$lt" loop --pipe -- sh job.sh '%(n)'
ok "and where args are" has 'stdin' err
ok "-c is refused" status 2 "$lt" loop --pipe -c 'sh job.sh'
ok "--use-pty is refused" status 2 "$lt" loop --pipe --use-pty -- sh job.sh
for i in 1 2 3 4 5 6; do submit -- --n $i; done
cat >both.sh <<'J'
: >slot$LABTASKER_SLOT
while read -r task; do
	until [ -f slot0 ] && [ -f slot1 ]; do sleep 0.05; done
	echo '{"status":"success"}'
done
J
ok "-j 2" status 0 "$lt" loop --pipe -j 2 --require n -- sh both.sh
ok "a process each" same "$(count success) $(ls slot? | tr '\n' ' ')" "7 slot0 slot1 "
submit --max-retries 1 -- --do finish
ok "labtasker finish" status 0 "$lt" loop --pipe --require do -- sh job.sh
fields -s failed
ok "counts more than a result" has '"by":"finish"' ls

place slow
job
submit --max-retries 1 -- --do hang
submit -- --do well
ok "--time-limit" status 0 "$lt" loop --pipe --time-limit 0.3 --require do -- sh job.sh
fields -s failed
ok "ends the process, whose task has failed" has TimeLimit ls
ok "not the next" same "$(count success)" 1
ok "a process that stays after its stdin has ended" status 0 "$lt" loop --pipe --grace 0.2 -- sh -c 'exit 0'
submit -- --do well
ok "is ended after the grace" status 0 "$lt" loop --pipe --grace 0.2 --require do -- sh -c 'read -r t; echo "{\"status\":\"success\"}"; while :; do sleep 0.05; done'

place stopped
job
submit -- --do hang
begin "$lt" loop --pipe --require do -- sh job.sh
loop=$!
await has hanging out
pid=$(sed -n 's/^up //p' err)
kill -TERM $loop
wait $loop
ok "TERM: 143" same $? 143
ok "its process is gone" gone "$pid"
fields
ok "the task is handed back" has '"status":"pending"' ls
ok "uncharged" has '"retries":0' ls
: >out
begin "$lt" loop --pipe --require do -- sh job.sh
loop=$!
await has hanging out
pid=$(sed -n 's/^up //p' err)
kill -KILL $loop
wait $loop 2>/dev/null
ok "a killed loop leaves no process" await gone "$pid"

place warned
submit -- --n 1
cat >job.sh <<'J'
trap 'echo "{\"status\":\"$STATUS\"}"; exit' USR1
read -r task
echo hanging
while :; do sleep 0.05; done
J
for s in failed success; do
	begin env STATUS=$s "$lt" loop --pipe --warn-signal USR1 -- sh job.sh
	loop=$!
	await has hanging out
	kill -TERM $loop
	wait $loop
	ok "TERM: 143" same $? 143
	fields
	[ $s = success ] || ok "a failure after the warning is nobody's" has '"status":"pending".*"retries":0' ls
done
ok "a success is one" has '"status":"success"' ls

place idle
job
submit -- --do well
begin "$lt" loop --pipe --wait --require do -- sh job.sh
loop=$!
await has text out
submit -- --do well
ok "--wait" await sh -c '[ "$(grep -c text out)" = 2 ]'
ok "keeps the process" same "$(grep -c '^up' err)" 1
kill -TERM $loop
wait $loop
ok "TERM ends an idle one: 143" same $? 143

place examples
submit -- --n 12
example job.sh
ok "PROTOCOL's example in sh" status 0 "$lt" loop --pipe --require n -- sh job.sh
fields
ok "works" has '"square":144' ls

if Rscript -e 'library(jsonlite)' >/dev/null 2>&1; then
	submit -- --n 7
	submit --max-retries 1 -- --n text
	example job.R
	ok "PROTOCOL's example in R" status 0 "$lt" loop --pipe --require n -- Rscript job.R
	fields
	ok "works" has '"square":49' ls
	ok "and says what fails" has '"why":"non-numeric' ls
fi
if ! command -v python3 >/dev/null || ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 4))'; then
	skipped="no python3 of 3.4 or later: contrib/labtasker.py and PROTOCOL's example in Python were not run"
	exit
fi
PYTHONPATH=$top/contrib PYTHONDONTWRITEBYTECODE=1 LABTASKER_BIN=$lt
export PYTHONPATH PYTHONDONTWRITEBYTECODE LABTASKER_BIN

submit -- --n 5
example job.py
ok "PROTOCOL's example in Python" status 0 "$lt" loop --pipe --require n -- python3 job.py
fields -s success
ok "works" has '"square":25' ls

place python
cat >job.py <<'P'
import labtasker
print("started")
@labtasker.loop(
    required_fields=["prompt"],
    extra_filter={"metadata.tags": {"$in": ["experimental", "diffusion"]}}
)
def main():
    print("prompt", labtasker.task_info().args["prompt"])
if __name__ == "__main__":
    main()
    print("what follows")
P
submit --metadata '{"tags": ["diffusion"]}' -- --prompt "an astronaut riding a horse"
submit --metadata '{"tags": ["experimental"]}' -- --prompt "{'a': 1}"
submit --metadata '{"tags": ["other"]}' -- --prompt "no"
submit --metadata '{"tags": ["diffusion"]}' -- --prompt "no" --guidance_scale 7.5
ok "@labtasker.loop" status 0 python3 job.py
ok "takes what it asks for, no more, no less" same "$(count success) $(count pending)" "2 2"
ok "with task_info()" has 'prompt an astronaut riding a horse' err
ok "prints as it likes" has "^prompt {'a': 1}" err
ok "starts once for all tasks" same "$(grep -c started err)" 1
ok "and goes on after the last" has 'what follows' err
ok "its output is in run.log" has 'astronaut' "$(grep -l astronaut .labtasker/logs/run/*/run.log)"

place required
cat >job.py <<'P'
import os, sys, enum, pathlib, subprocess
import labtasker
from labtasker import Required
class Mode(enum.Enum):
    FAST = "fast"
class Net(object):
    def __init__(self, v):
        self.depth = v["depth"]
@labtasker.loop(required_fields=["do"])
def main(steps: int = Required(), lr: float = Required(alias="opt.lr"), name: str = Required(), flag: bool = Required(),
         mode: Mode = Required(), dir: pathlib.Path = Required(), net=Required(resolver=Net), raw=Required(), other=5):
    do = labtasker.task_info().args["do"]
    print([steps, lr, name, flag, mode.name, dir, net.depth, raw, other], file=sys.stderr)
    if do == "raise":
        raise ValueError("no luck")
    if do == "finish":
        labtasker.finish("success", {"loss": 0.5, "id": labtasker.current_task_id()})
        raise ValueError("too late")
    if do == "exit":
        sys.exit(0)
    if do == "die":
        os._exit(3)
    if do == "nan":
        labtasker.finish("success", {"loss": float("nan")})
    if do == "child":
        subprocess.check_call("cat; echo from a child", shell=True)
if __name__ == "__main__":
    main()
P
args() { submit --max-retries 1 --task-name "$1" -- --do "$1" --opt.lr 1 --name 7 --flag true --mode fast --dir /tmp --net.depth 3 --raw '[1]' "--steps=$2"; }
for do in well raise finish exit die nan child; do args $do '"12"'; done
args wrong 1.5
LABTASKER_LOOP_OPTIONS="--worker-max-retries 99" ok "Required()" status 0 python3 job.py
ok "converts and resolves" has "\[12, 1.0, '7', True, 'FAST', PosixPath('/tmp'), 3, \[1\], 5\]" err
ok "a program that the function starts" has 'from a child' err
fields -s success
ok "what succeeded" same "$(sed 's/.*"task_name":"\([a-z]*\)".*/\1/' ls | sort | tr '\n' ' ')" "child finish well "
ok "finish() notes a summary" has '"loss":0.5' ls
fields -s failed
ok "what failed" same "$(sed 's/.*"task_name":"\([a-z]*\)".*/\1/' ls | sort | tr '\n' ' ')" "die exit nan raise wrong "
ok "an exception" has '"type":"ValueError","message":"no luck","traceback":"[^}]*in main' ls
grep 'no luck' ls >one
ok "not our own lines" hasnt 'contrib/labtasker.py' one
ok "an end" has 'exit code: 3' ls
ok "a value that cannot be converted" has 'steps is 1.5: it cannot be made int' ls
ok "NaN in a summary" has 'cannot be written as JSON' ls

cat >texts.py <<'P'
import labtasker
@labtasker.loop()
def main(n: "int" = labtasker.Required(), tensor: "torch.Tensor" = None):
    print("n is", n + 1)
main()
P
submit -- --n '"5"'
ok "annotations that are texts, one of a name that is not there" status 0 python3 texts.py
ok "are followed" has 'n is 6' err

place submit
cat >submit.py <<'P'
import labtasker
print(labtasker.submit_task(args={"n": {"a": "it's"}}, metadata={"tags": ["x"]}, task_name="first", max_retries=7, priority=20, cmd=["a", "b c"]).task_id)
P
ok "submit_task()" status 0 python3 submit.py
fields
ok "its id" has "$(cat out)" ls
ok "its args" has "\"args\":{\"n\":{\"a\":\"it's\"}}" ls
ok "and the rest" has '"task_name":"first".*"max_retries":7.*"priority":20.*"tags"' ls
cat >wrong.py <<'P'
import labtasker
for task in {"args": {}}, {"args": {"a b": 1}}, {"args": {"a": 1, "a.b": 2}}:
    try:
        labtasker.submit_task(**task)
    except labtasker.LabtaskerError as e:
        print("%s: %s" % (type(e).__name__, e))
P
ok "what is no task" status 0 python3 wrong.py
ok "is a wrong value" has "^LabtaskerValueError: submit_task: a task needs arguments, or a command$" out
ok "of which the reason is told" has "^LabtaskerValueError: submit_task: 'a b' cannot be an argument's name: [^;]*$" out
ok "also where the server refuses it" has "^LabtaskerRuntimeError: submit_task: Key 'a.b' is in conflict with another key$" out
echo 'import labtasker; print(labtasker.submit_task(args={"long": "x" * 1000000}, priority=1).task_id)' >long.py
ok "args longer than a command line takes" status 0 python3 long.py
"$lt" task delete -yq "$(cat out)"
cat >again.py <<'P'
import labtasker
@labtasker.loop(extra_filter="metadata.tags == 'x'", pass_args_dict=True, create_worker_kwargs={"worker_name": "w", "max_retries": 2})
def main(args, suffix):
    print("got", args["n"], suffix)
    if args["n"] == {"a": "it's"}:
        labtasker.submit_task(args={"n": 2}, metadata={"tags": ["x"]})
main("end")
P
ok "pass_args_dict, a filter in Python" status 0 python3 again.py
ok "from one task to the next" has 'got 2 end' err
cat >plain.py <<'P'
import labtasker
assert labtasker.is_enabled()
labtasker.finish("success", {"n": labtasker.task_info().args["n"]})
P
submit -- --n 3
ok "a LABTASKER_BIN that is none" status 1 env LABTASKER_BIN=/nowhere python3 submit.py
ok "is named" has 'LABTASKER_BIN: /nowhere is no program' err
ok "under a plain loop" status 0 "$lt" loop --require n -- python3 plain.py
fields -s success
ok "task_info() and finish() work too" has '"summary":{"n":3}' ls
ok "outside of one" status 1 python3 plain.py

place programs
cat >two.py <<'P'
import labtasker
@labtasker.loop(required_fields=["n"])
def one():
    print("one", labtasker.task_info().task_id)
    try:
        one()
    except labtasker.LabtaskerRuntimeError:
        print("not within itself")
@labtasker.loop(required_fields=["m"])
def two():
    pass
one()
try:
    two()
except labtasker.LabtaskerRuntimeError as e:
    print("refused", e)
P
submit -- --n 1
ok "two loops in a program" status 0 python3 two.py
ok "are one too many" has 'refused.*one labtasker.loop' err
ok "so is one within its own task" has 'not within itself' err
submit -- --n 2
sed -i.bak 's/^two()/pass/' two.py
ok "python -m, with options" status 0 python3 -u -W ignore -m two
ok "runs the module again" has "^one" err
echo 'import labtasker
@labtasker.loop()
def main():
    yield 1' >later.py
submit --max-retries 1 -- --n 3
for how in "-- python3 two.py %(n)" "--pipe --require n -- python3 two.py"; do
	ok "a loop as a job: $how" status 0 "$lt" loop $how
	ok "is refused, for it would take other tasks" has 'the job of a loop already' err
	fields -s failed
	ok "and its own has failed" has '"args":{"n":3}' ls
	"$lt" task requeue -q -s failed
done
"$lt" task cancel -q -s pending
ok "a generator, whose call would run nothing" status 1 python3 later.py
ok "is refused" has 'LabtaskerTypeError: main: .*generator' err
echo 'import labtasker
labtasker.loop()(lambda: None)()' >stdin.py
python3 - <stdin.py >out 2>err
ok "a program on stdin is refused" has 'put it into a file' err
cat >hang.py <<'P'
import labtasker, time
@labtasker.loop(required_fields=["h"])
def main():
    print("hanging")
    while True:
        time.sleep(0.05)
main()
P
submit -- --h 1
begin python3 hang.py
loop=$!
await has hanging err
kill -TERM $loop
wait $loop
ok "TERM: 143" same $? 143
fields -s pending
ok "the task is handed back" has '"h":1' ls
