# SPDX-License-Identifier: MIT
# task ls, get, update, cancel, requeue, delete; worker create, ls, report, delete: what they print, and every refusal.
. tests/lib.sh
TMPDIR=$base
export TMPDIR

nobody=00000000-0000-4000-8000-000000000000
# says TEXT: the last command's stderr is one line that holds it.
says() { [ "$(lines err)" -eq 1 ] && has "$1" err; }
# prints TEXT...: its stdout is exactly these lines.
prints() { printf '%s\n' "$@" >want; cmp want out || { cat out; false; }; }

place ls
a=$("$lt" submit --name one --priority 5 -- --lr 0.5 --model.name resnet 2>/dev/null)
b=$("$lt" submit --name two --priority 7 -- --lr 0.25 --tags '["x", "y"]')
c=$("$lt" submit --name one --priority 7 --metadata '{"owner": "me"}' -- --lr 2 --text 'two words')
ok "ids in the usual order" status 0 "$lt" task ls -q
ok "priority first, then the elder" prints "$b" "$c" "$a"
ok "-S" status 0 "$lt" task ls -q -S args.lr
ok "sorts" prints "$b" "$a" "$c"
ok "-S desc, the usual order behind it" status 0 "$lt" task ls -q -S task_name:desc
ok "sorts so" prints "$b" "$c" "$a"
ok "-S twice" status 0 "$lt" task ls -q -S task_name:asc -S priority:asc
ok "sorts by both" prints "$a" "$c" "$b"
ok "--limit" status 0 "$lt" task ls -q --limit 2
ok "is a total" prints "$b" "$c"
ok "--offset" status 0 "$lt" task ls -q --offset 2
ok "leaves out" prints "$a"
ok "--limit 0" status 0 "$lt" task ls --limit 0
ok "lists nothing" prints '[]'
ok "--name" status 0 "$lt" task ls -q --name two
ok "selects" prints "$b"
ok "--task-name, -s" status 0 "$lt" task ls -q --task-name one -s pending
ok "select" prints "$c" "$a"
ok "--id" status 0 "$lt" task ls -q --id "$a"
ok "selects one" prints "$a"
ok "-f with a dict" status 0 "$lt" task ls -q -f '{"args.lr": {"$lt": 0.4}}'
ok "filters" prints "$b"
ok "--fields as YAML" status 0 "$lt" task ls --fields task_name,args.lr --name one
ok "has these only" prints '- task_name: one' '  args.lr: 2' '- task_name: one' '  args.lr: 0.5'
ok "--json" status 0 "$lt" task ls --json --fields args.model.name --fields args.tags.0 -S args.lr
ok "is one object a line" prints '{"args.model.name":null,"args.tags.0":"x"}' '{"args.model.name":"resnet","args.tags.0":null}' \
	'{"args.model.name":null,"args.tags.0":null}'
ok "--fmt table" status 0 "$lt" task ls --fmt table --fields task_name,priority,args.text,metadata
ok "is aligned" prints 'task_name  priority  args.text  metadata' 'two        7         -          {}' \
	'one        7         two words  {"owner": "me"}' 'one        5         -          {}'
"$lt" task ls -q >ids
ok "--piped-in" sh -c '"$1" task ls --piped-in -q <ids >out 2>err' x "$lt"
ok "lists these" prints "$b" "$c" "$a"
ok "YAML without a terminal" status 0 "$lt" task ls --id "$a"
ok "is a list" has "^- task_id: $a\$" out
ok "with nested arguments" has '^      name: resnet$' out
ok "--fmt jsonl" status 0 "$lt" task ls --fmt jsonl
ok "is a line each" same "$(lines out)" 3
ok "the pager is for terminals" sh -c 'PAGER="false" "$1" task ls --pager -q >out 2>err' x "$lt"
ok "only" same "$(lines out)" 3
ok "-v" status 0 "$lt" task ls -v -q -f '{"priority": 5}'
ok "shows what is asked" has '"extra_filter": {"priority": 5}' err
ok "nothing matches" status 0 "$lt" task ls --name nobody
ok "is an empty list" prints '[]'
"$lt" task ls >big
ok "a reader that goes away" sh -c '"$1" task ls 2>err | sed -n 1q; [ ! -s err ]' x "$lt"
for bad in '-s nostate' '--limit x' '--limit -1' '--offset -2' '-S x:up' '-S nofield' '--fmt xml' '--name a/b' '--fields nofield' \
    '--fields stat' '--nosuch' 'word' '--piped-in --name one'; do
	ok "refused: task ls $bad" status 2 "$lt" task ls $bad
	ok "in one line: $bad" says 'task ls'
done
ok "a filter that is none" status 2 "$lt" task ls -f '{"a":'
ok "nor for an update" status 2 "$lt" task update -f 'x{' -u priority=1
ok "a bad value is called so" sh -c '"$1" task ls --limit x 2>err; grep -q "Invalid value" err' x "$lt"
ok "get" status 0 "$lt" task get "$a" --fields task_name,args
ok "prints it" prints 'task_name: one' 'args:' '  lr: 0.5' '  model:' '    name: resnet'
ok "get --json" status 0 "$lt" task get --json --fields priority "$a"
ok "is a line" prints '{"priority":5}'
ok "get of what is not there" status 1 "$lt" task get $nobody
ok "says so and how to go on" says "Task not found: $nobody: labtasker task ls"
ok "get of no id" status 2 "$lt" task get x
ok "says so" says "no task's id"
ok "get of nothing" status 2 "$lt" task get

place update
a=$("$lt" submit --name one -- --lr 0.5 --m.x 1 2>/dev/null)
b=$("$lt" submit --name two -- --lr 0.25)
ok "update -u" status 0 "$lt" task update --name one -u priority=3 -u args.lr=0.75 -u metadata.tag=new
ok "prints the task" has "^- task_id: $a\$" out
ok "marks what is changed" has '^  priority: 3  # Modified$' out
ok "inside too" has '^    lr: 0.75  # Modified$' out
ok "and not the rest" same "$(grep -c Modified out)" 5
ok "update --" status 0 "$lt" task update --id "$b" -- args.m='{"y": [1, "z"]}' task-name=three heartbeat_timeout=90 task_timeout=1 cmd='["echo", "a b"]'
ok "changes" status 0 "$lt" task ls --json --name three --fields args,heartbeat_timeout,task_timeout,cmd
ok "just that" prints '{"args":{"lr":0.25,"m":{"y":[1,"z"]}},"heartbeat_timeout":90.0,"task_timeout":1,"cmd":["echo","a b"]}'
ok "a whole dict" status 0 "$lt" task update --name three -- args='{"z": 1}' args.q.r=2
ok "replaces" has '^    q:' out
"$lt" task get "$b" --json --fields args >out
ok "all of it" prints '{"args":{"z":1,"q":{"r":2}}}'
ok "None takes away" status 0 "$lt" task update --id "$b" -u task_name=None -u task_timeout=null -u cmd=None -u heartbeat_timeout=None
"$lt" task get "$b" --json --fields task_name,task_timeout,cmd,heartbeat_timeout >out
ok "what may be none" prints '{"task_name":null,"task_timeout":null,"cmd":null,"heartbeat_timeout":null}'
ok "text fields keep text" status 0 "$lt" task update --id "$b" -u task_name=123 -u cmd=1.50
"$lt" task get "$b" --json --fields task_name,cmd >out
ok "as it stands" prints '{"task_name":"123","cmd":"1.50"}'
ok "-q" status 0 "$lt" task update -q -s pending -u priority=8
ok "prints nothing" same "$(cat out err)" ""
ok "changes all that match" same "$("$lt" task ls -q -f '{"priority": 8}' | wc -l | tr -d ' ')" 2
ok "ids on standard input" sh -c '"$1" task ls -q | "$1" task update --json -u priority=9 >out 2>err' x "$lt"
ok "changes those, --json prints them so" same "$(grep -c '"priority":9,' out)" 2
ok "status and reset" status 0 "$lt" task update --id "$a" -u status=cancelled
ok "cancelled" has 'status: cancelled  # Modified' out
ok "--reset-pending" status 0 "$lt" task update --id "$a" --reset-pending -u priority=1
ok "pending" has 'status: pending  # Modified' out
ok "an unknown id" status 0 "$lt" task update --id $nobody -u priority=1
ok "changes nothing and says so" says 'nothing was changed'
ok "no selection" status 2 "$lt" task update -u priority=1
ok "asks for one" says 'which tasks?'
ok "an id without --id" status 2 "$lt" task update "$a" -u priority=1
ok "says how to name it" says 'named so: --id ID'
ok "an empty pipe is none" sh -c ': | "$1" task update -u priority=1 2>err; [ $? -eq 2 ]' x "$lt"
ok "no task was touched" same "$("$lt" task ls -q -f '{"priority": 1}')" "$a"
ok "an id that is none" sh -c 'echo nonsense | "$1" task update -u priority=1 2>err; [ $? -eq 2 ] && grep -q "line 1 of standard input" err' x "$lt"
for bad in '-u priority=x' '-u priority=1.5' '-u prio=1' '-u task_id=x' '-u created_at=1' '-u priority' '-u args=5' '-u args=[1]' \
    '-u status=done' '-u task_name=a/b' '-u task_name=' '-u priority.x=1' '-u args.=1' '-u args..x=1' '-u max_retries=None' '-u retries=-1' \
    '-q' '-u priority=1 -- priority=2' '--editor vi -u priority=1' '-- -u' '-u summary=x' '-u cmd=[1]'; do
	ok "refused: task update $bad" status 2 "$lt" task update --name one $bad
	ok "in one line: $bad" says 'task update'
done
ok "a hint" sh -c '"$1" task update --name one -u prio=1 2>err; grep -q "did you mean priority" err' x "$lt"
ok "what the server refuses" status 1 "$lt" task update --id "$a" -u status=success
ok "is said" says 'Cannot transition'

# The editor is a script that plays the person.
place editor
a=$("$lt" submit --name one --metadata '{"n": 1}' -- --lr 0.5 --text 'x: y # z' 2>/dev/null)
b=$("$lt" submit --name two -- --lr 0.25)
cat >ed <<'S'
#!/bin/sh
cp "$1" seen
sed "$SED" "$1" >edited && cat edited >"$1"
S
chmod +x ed
EDITOR=./ed SED='s/^priority: 10/priority: 7/'
export EDITOR SED
ok "the editor" status 0 "$lt" task update --name one
ok "changes" has '^  priority: 7  # Modified$' out
ok "one line" same "$(grep -c Modified out)" 1
ok "it saw the id" has "^task_id: $a" seen
ok "JSON" has '^metadata: {"n": 1}$' seen
ok "texts in quotes where they need them" has '^args: {"lr": 0.5, "text": "x: y # z"}$' seen
ok "an empty text" has '^cmd: ""$' seen
ok "plain text" has '^task_name: one$' seen
ok "no read-only fields" hasnt created_at seen
SED='/^status/d; s/^cmd: .*/cmd: echo hi # said/; s/^args: .*/args: {"a": [1,\n  2],\n "b": null}/; s/^summary: .*/summary: {}/'
ok "values over lines" status 0 "$lt" task update --name one
"$lt" task get "$a" --json --fields args,cmd,status,task_name >out
ok "are read" prints '{"args":{"a":[1,2],"b":null},"cmd":"echo hi","status":"pending","task_name":"one"}'
SED="s/^cmd: .*/cmd: 'it''s'/; s/^task_timeout: .*/task_timeout:/"
ok "single quotes" status 0 "$lt" task update --name one
ok "are YAML's" has "cmd: 'it''s'  # Modified\|cmd: it's  # Modified" out
SED='s/^priority: .*/priority: 2/'
ok "several, by ids on standard input" sh -c '"$1" task ls -q | "$1" task update >out 2>err' x "$lt"
ok "all are changed" same "$(grep -c 'priority: 2  # Modified' out)" 2
ok "parted by ---" same "$(grep -c '^---$' seen)" 2
SED='s/^nothing//'
ok "nothing is changed" status 0 "$lt" task update --name one
ok "is said" says 'nothing was changed'
for s in 's/^priority: .*/priority: x/' 's/^priority: .*/priority 1/' 's/^args: .*/args: {"a": 1/' 's/^args: .*/args: {"a": }/' 's/^priority:/prio:/' \
    's/^priority: .*/created_at: 5/' 's/^task_id: .*/task_id: x/' 's/^cmd: .*/cmd: a: b/' 's/^cmd: .*/cmd: "a" b/' "s/^cmd: .*/cmd: 'a/" \
    's/^cmd: .*/priority: 3/' 's/^cmd: .*/cmd: *x/' 's/^status: .*/status: done/'; do
	SED=$s
	ok "refused: $s" status 2 "$lt" task update --name one
	ok "with line and column: $s" says 'line [0-9]*, column [0-9]*: '
done
ok "nothing was changed by those" same "$("$lt" task get "$a" --json --fields priority)" '{"priority":2}'
SED='s/^priority: 2/priority: 4/'
ok "--editor" status 0 env EDITOR=false "$lt" task update --name one --editor ./ed
ok "beats the environment" has 'priority: 4' out
ok "VISUAL" status 1 env VISUAL=false "$lt" task update --name one
ok "comes before EDITOR" says 'false'
ok "an editor that is not there" status 1 env EDITOR=./nosuch "$lt" task update --name one
ok "says what to set" has 'set VISUAL or EDITOR' err
ok "no file is left behind" same "$(find "$TMPDIR" -maxdepth 1 -name 'labtasker-*' | head -n 1)" ""
unset EDITOR SED

place states
a=$("$lt" submit -- --n 1 2>/dev/null) b=$("$lt" submit -- --n 2) c=$("$lt" submit -- --n 3)
ok "cancel" status 0 "$lt" task cancel "$a"
ok "says so" prints "Task $a cancelled."
ok "cancel by a filter" status 0 "$lt" task cancel -f '{}' --json
ok "leaves alone what has ended" has 'had ended' err
ok "prints JSON" same "$(sort out)" "$(printf '{"task_id":"%s","status":"cancelled"}\n' "$b" "$c" | sort)"
ok "requeue" status 0 "$lt" task requeue "$a" "$b"
ok "says so" prints "Task $a requeued." "Task $b requeued."
ok "they are pending" same "$(count pending)" 2
ok "ids on standard input" sh -c '"$1" task ls -q -s cancelled | "$1" task requeue -q >out 2>err' x "$lt"
ok "all are pending" same "$(count pending)" 3
ok "-q prints nothing" same "$(cat out err)" ""
ok "cancel of what is not there" status 1 "$lt" task cancel $nobody
ok "says so" says 'Task not found'
ok "cancel of nothing" status 2 "$lt" task cancel
ok "asks which" says 'which tasks?'
for what in cancel requeue 'delete -y' 'update -u priority=1'; do
	ok "an empty filter does not choose all: $what" status 2 "$lt" task $what -f ''
	ok "asks which: $what" says 'which tasks?'
done
for what in 'update -u priority=1' ls; do
	ok "nor does an empty id: $what" status 2 "$lt" task $what --id ''
	ok "which is said: $what" says 'Invalid value for --task-id'
done
ok "an empty pipe is fine" sh -c ': | "$1" task cancel 2>err' x "$lt"
ok "ids and a filter" status 2 "$lt" task cancel "$a" -s pending
ok "delete needs a yes" status 1 "$lt" task delete "$a"
ok "says how" says 'say -y'
ok "delete" status 0 "$lt" task delete -y "$a"
ok "says so" prints "Task $a deleted."
ok "delete of some that are not there" status 1 "$lt" task delete $nobody "$b" -y
ok "deletes the others" prints "Task $b deleted."
ok "and says which" says "Task not found: $nobody"
ok "ids on standard input" sh -c '"$1" task ls -q | "$1" task delete -y --json >out 2>err' x "$lt"
ok "prints JSON" prints "{\"task_id\":\"$c\"}"
ok "all are gone" same "$("$lt" task ls -q)" ""
"$lt" submit --name x -- --n 1 >/dev/null
ok "delete by a name" status 0 "$lt" task delete -y -q --name x
ok "-q prints nothing" same "$(cat out err)" ""
ok "delete of what is no id" status 2 "$lt" task delete -y ..
ok "an empty pipe is fine" sh -c ': | "$1" task delete -y' x "$lt"

place workers
ok "where no queue is" status 1 "$lt" worker ls
"$lt" submit -- --n 1 >/dev/null 2>&1
ok "worker create" status 0 "$lt" worker create --name gpu-1 --metadata '{"gpu": "a100"}' --max-retries 5
ok "says its id" has '^Worker created with ID: [0-9a-f-]\{36\}$' out
w=$(sed 's/.*: //' out)
ok "-q" status 0 "$lt" worker create -q
v=$(cat out)
ok "prints the id" same "$(wc -c <out | tr -d ' ')" 37
ok "--json" status 0 "$lt" worker create --json
ok "an object" has '^{"worker_id":"[0-9a-f-]*"}$' out
ok "worker ls" status 0 "$lt" worker ls --name gpu-1 --fields worker_id,metadata.gpu,max_retries
ok "lists it" prints "- worker_id: $w" '  metadata.gpu: a100' '  max_retries: 5'
ok "worker ls -q -f" status 0 "$lt" worker ls -q -f '{"metadata.gpu": "a100"}'
ok "the id" prints "$w"
ok "--fmt table" status 0 "$lt" worker ls --fmt table --id "$w" --fields worker_name,status
ok "aligned" prints 'worker_name  status' 'gpu-1        active'
ok "worker report" status 0 "$lt" worker report "$w" suspended
ok "says so" prints "Worker $w status updated to suspended."
ok "it is suspended" same "$("$lt" worker ls -q -s suspended)" "$w"
ok "report --json" status 0 "$lt" worker report "$w" active --json
ok "prints JSON" prints "{\"worker_id\":\"$w\",\"status\":\"active\"}"
ok "crashed is no command's" status 1 "$lt" worker report "$w" crashed
ok "a bad state" status 2 "$lt" worker report "$w" asleep
ok "says so" says 'Invalid value'
ok "a worker that is not there" status 1 "$lt" worker report $nobody active
ok "says so" says 'Worker not found'
ok "one word only" status 2 "$lt" worker report "$w"
ok "worker delete needs a yes" status 1 "$lt" worker delete "$w"
ok "worker delete" status 0 "$lt" worker delete -y "$w" --no-cascade-update
ok "says so" prints "Worker $w deleted."
ok "again" status 1 "$lt" worker delete -y "$w"
ok "says so" says 'Worker not found'
ok "ids on standard input" sh -c '"$1" worker ls -q | "$1" worker delete -y -q' x "$lt"
ok "all are gone" same "$("$lt" worker ls -q)" ""
for bad in 'create --name a/b' 'create --metadata [1]' 'create --max-retries x' 'ls -s pending' 'ls --fields args' 'delete -y x' 'create word'; do
	ok "refused: worker $bad" status 2 "$lt" worker $bad
	ok "in one line: worker $bad" says 'worker'
done

# More than a page: all of them, in order, whichever way they come.
place many
{
	echo '{"labtasker_queue":1,"queue_name":"default","metadata":{}}'
	awk 'BEGIN { for (i = 0; i < 2300; i++) printf "{\"status\":\"pending\",\"task_id\":\"00000000-0000-4000-8000-%012x\",\"args\":{\"i\":%d,\"m\":%s},\"priority\":%d}\n", (i * 7919) % 2300, i, i % 3 ? i % 7 : i % 2 ? "\"t\"" : "[1, 9]", i % 5 }'
} >dump
"$lt" init --local -q >out 2>err
ok "2,300 tasks" status 0 "$lt" queue load dump
"$lt" task ls -q >all
ok "task ls has them all" same "$(sort -u all | wc -l | tr -d ' ')" 2300
head -n 1000 all >want
ok "the first page of one request" status 0 "$lt" task ls -q --limit 1000
ok "is in the same order" cmp want out
for s in args.m args.m:desc priority:asc args.i:desc status; do
	"$lt" task ls -q -S $s | sed -n '1201,2200p' >want
	ok "-S $s: a page of one request" status 0 "$lt" task ls -q -S $s --offset 1200 --limit 1000
	ok "is in the same order: -S $s" cmp want out
done
ok "--limit beyond a page is a total" same "$("$lt" task ls -q --limit 1500 --offset 100 | wc -l | tr -d ' ')" 1500
ok "a filter" same "$("$lt" task ls --json --fields args.i -f '{"args.i": {"$gte": 1200}}' | wc -l | tr -d ' ')" 1100
ok "update of all" status 0 "$lt" task update -q -f '{}' -u priority=1
ok "changes all" same "$("$lt" task ls -q -f '{"priority": 1}' | wc -l | tr -d ' ')" 2300
ok "piped ids" sh -c '"$0" task ls -q -f "{\"args.i\": {\"\$lt\": 1100}}" | "$0" task update -u metadata.x=1 | grep -c "x: 1  # Modified" >out' "$lt"
ok "are changed" same "$(cat out)" 1100
ok "--piped-in" sh -c '"$0" task ls --piped-in -q <all | wc -l | tr -d " " >out' "$lt"
ok "lists them" same "$(cat out)" 2300
ok "cancel of all" status 0 "$lt" task cancel -q -f '{}'
ok "cancels all" same "$(count cancelled)" 2300
ok "delete of all" status 0 "$lt" task delete -y -f '{}'
ok "says each" same "$(lines out)" 2300
ok "none is left" same "$("$lt" task ls -q)" ""
