# SPDX-License-Identifier: MIT
# Many tasks at once: JSON Lines, CSV, sweeps, keys; what is refused before anything is submitted, and what is said of the rest.
. tests/lib.sh

# args: the arguments of all tasks, a line each, sorted.
args() { "$lt" task ls --fmt jsonl --no-pager | sed 's/.*"args": *\({.*\), *"cmd".*/\1/' | sort; }
total() { "$lt" task ls -q --no-pager | wc -l | tr -d ' '; }
empty() { rm -rf .labtasker.* && "$lt" task ls -q --no-pager | "$lt" task delete -y -q; }
first() { sed -n 1p err; }

place bulk
"$lt" submit -- --n 0 >id 2>err </dev/null && empty

# ---- JSON Lines ----
printf '{"lr": 0.10, "m.k": [1, null]}\n\n{"lr": 1e-3}\r\n{"p": "caf\303\251"}' >t.jsonl
ok "--from" status 0 "$lt" submit --from t.jsonl --priority 7 -- --common 1
ok "an id a line" same "$(lines out)" 3
args >got
cat >want <<'W'
{"common":1,"lr":0.10,"m":{"k":[1,null]}}
{"common":1,"lr":1e-3}
{"common":1,"p":"café"}
W
ok "the arguments are those of the lines" cmp -s got want
ok "options hold for all" same "$("$lt" task ls -q --no-pager -f 'priority == 7' | wc -l | tr -d ' ')" 3
"$lt" task ls --fmt jsonl --no-pager -f 'args.p == "café"' >last
ok "ids are in the order of the lines" has "$(sed -n 3p out)" last
empty
ok "from standard input" sh -c 'printf "{\"a\": 1}\n{\"a\": 2}\n" | "$1" submit --from - >out 2>err && [ $(wc -l <out) -eq 2 ]' x "$lt"
empty
ok "a directory" status 2 "$lt" submit --from .
ok "is one" has 'submit: \.: [A-Z][a-z ]*$' err
printf '{"args": {"a": 1}, "task_name": "one", "priority": 3, "metadata": {"x y": 1}}\n{"cmd": "echo", "max_retries": null}\n' >w.jsonl
ok "--tasks" status 0 "$lt" submit --tasks w.jsonl --name all
ok "a line's own fields come first" same "$("$lt" task ls -q --no-pager -f 'task_name == "one" and priority == 3')" "$(sed -n 1p out)"
ok "then the options'" same "$("$lt" task ls -q --no-pager -f 'task_name == "all" and max_retries == 3 and cmd == "echo"')" "$(sed -n 2p out)"
empty

# ---- CSV ----
printf '\357\273\277lr,m.name,note\r\n0.1,"a, ""b""\nc",\r\n1,x,007\r\n' >t.csv
ok "CSV by its name" status 0 "$lt" submit --from t.csv
args >got
cat >want <<'W'
{"lr":"0.1","m":{"name":"a, \"b\"\nc"},"note":""}
{"lr":"1","m":{"name":"x"},"note":"007"}
W
ok "cells are texts" cmp -s got want
empty
ok "--csv --typed" sh -c 'printf "a,b\n1,True\n\"[1, 2]\",x y\n" | "$1" submit --from - --csv --typed >out 2>err' x "$lt"
args >got
printf '%s\n' '{"a":1,"b":true}' '{"a":[1,2],"b":"x y"}' >want
ok "cells are literals" cmp -s got want
empty

# ---- sweeps ----
ok "--sweep" status 0 "$lt" submit --sweep lr=0.1,1e-2 --sweep seed=0..2 --sweep 'n-x=a\,b' -- --seed 9 --model resnet
ok "the product" same "$(lines out)" 6
"$lt" task ls --fmt jsonl --no-pager -f 'args.lr == 0.1 and args.seed == 2 and args.n_x == "a,b" and args.model == "resnet"' >one
ok "in order: the last turns fastest" has "$(sed -n 3p out)" one
empty
sweep() {   # sweep VALUES WANT: the values of one sweep
	"$lt" submit --sweep "x=$1" >out 2>err </dev/null || { cat err; return 1; }
	got=
	while read -r id; do got="$got $("$lt" task ls --fmt jsonl --no-pager --id "$id" | sed 's/.*"x":\([^}]*\)}.*/\1/')"; done <out
	empty
	same "$got" " $2"
}
ok "a range" sweep 0..3 '0 1 2 3'
ok "backwards" sweep 1..-1 '1 0 -1'
ok "with a step that ends before" sweep 0..7..3 '0 3 6'
ok "of fractions, exactly" sweep 0.1..0.5..0.1 '0.1 0.2 0.3 0.4 0.5'
ok "and texts as floats have them" sweep 1..0..-0.25 '1.0 0.75 0.5 0.25 0.0'
ok "one value" sweep 5..5 5
ok "literals, ranges and texts" sweep '1..2,"3",a b,True,../x,[1\,2]' '1 2 "3" "a b" true "../x" [1,2]'
for bad in lr =1 lr= lr=1,,2 lr=0..5..-1 lr=0..1..0 lr=1e3..2e3 lr=0..99999999 lr.=1 'l r=1' lr=0..x; do
	ok "refused: --sweep $bad" status 2 "$lt" submit --sweep "$bad"
	ok "in one line: $bad" same "$(lines err)" 1
done
ok "a name swept twice" status 2 "$lt" submit --sweep a=1 --sweep a=2
ok "more than can be meant" status 2 "$lt" submit --sweep a=1..100000 --sweep b=1..100000

# ---- what is refused before anything is submitted ----
bad() {   # bad TEXT FILE LINE:COL WORD OPTION: FILE with that text (printf's) is refused there
	f=$2 at=$3 word=$4
	printf "$1" >"$f"
	status 2 "$lt" submit "$5" "$f" && has "^labtasker: task submit: $f:$at: .*$word" err && same "$(lines err)" 1
}
ok "JSON" bad '{"a": 1}\n{"a": 1,}\n' x.jsonl 2:9 'property name' --from
ok "words" bad 'a b\n' x.jsonl 1:1 'must be a JSON object' --from
ok "an object a line" bad '{"a": 1}\n[1]\n' x.jsonl 2:1 object --from
ok "a key that the server refuses" bad '{"a b": 1}\n' x.jsonl 1:1 "'a b'" --from
ok "within, too" bad '{"a": {"b": {"": 1}}}\n' x.jsonl 1:1 "''" --from
ok "no arguments" bad '{}\n' x.jsonl 1:1 arguments --from
ok "a field of a task" bad '{"argz": {}}\n' x.jsonl 1:1 'did you mean args' --tasks
ok "its kind" bad '{"args": [1]}\n' x.jsonl 1:1 'args has a value' --tasks
ok "a name" bad '{"args": {"a": 1}, "task_name": "a/b"}\n' x.jsonl 1:1 task_name --tasks
ok "CSV: a cell is missing" bad 'a,b\n1\n' x.csv 2:1 'fewer' --from
ok "CSV: one too many" bad 'a,b\n1,2,3\n' x.csv 2:3 'more' --from
ok "CSV: behind a quote" bad 'a,b\n1,"x\ny"z\n' x.csv 2:3 comma --from
ok "CSV: a quote within" bad 'a,b\n1,x"y\n' x.csv 2:3 doubled --from
ok "CSV: no closing quote" bad 'a,b\n1,"x\n' x.csv 2:3 'closing quote' --from
ok "CSV: no UTF-8" bad 'a,b\n"x\ny",\377\n' x.csv 3:4 UTF-8 --from
ok "CSV: a column twice" bad 'a,a\n1,2\n' x.csv 1:3 'another column' --from
ok "CSV: a column's name" bad 'a,b c\n1,2\n' x.csv 1:3 "'b c'" --from
ok "CSV: no header" bad '' x.csv 1:1 header --from
ok "a file that is not there" status 2 "$lt" submit --from nothere.jsonl
ok "is named" has 'nothere.jsonl: No such file' err
for o in '--from t.jsonl --tasks w.jsonl' '--from t.jsonl --sweep a=1' '--csv' '--typed -- --a 1' '--from t.jsonl --typed' '--tasks t.csv' \
    '--tasks w.jsonl -- --a 1' '--key= -- --a 1'; do
	ok "refused: submit $o" status 2 "$lt" submit $o
done
ok "nothing was submitted by any of them" same "$(total)" 0

if [ -c /dev/full ]; then
	printf '{"a": 1}\n' >one.jsonl
	ok "ids that nobody got" sh -c '"$1" submit --from one.jsonl >/dev/full 2>err; [ $? -eq 1 ]' x "$lt"
	ok "the task is in, which is said" has 'go in all the same' err
	ok "once" same "$(total)" 1
	empty
fi

"$lt" submit --sweep n=1..60 >out 2>err
"$lt" task ls --json --fields args.n | sed 's/[^0-9]//g' >order
seq 60 2>/dev/null >want || awk 'BEGIN { while (i < 60) print ++i }' >want
ok "task ls shows them as they were submitted" cmp want order
empty

# ---- what the server refuses ----
printf '{"a": 1}\n{"a": 1, "a.b": 2}\n{"a": 3}\n{"a": 1, "a.b": 2}\n{"a": 1, "a.b": 2}\n' >p.jsonl
ok "some lines are refused" status 1 "$lt" submit --from p.jsonl
ok "the others are in" same "$(total) $(lines out)" '2 2'
ok "each is told" has '^labtasker: task submit: p.jsonl 2: ' err
ok "and how to go on" has "2 tasks are in; not in: line 2, 4-5; mend them and submit only those: sed -n '2p;4,5p;' p.jsonl | labtasker task submit --from - " err
ok "a stream that goes wrong" sh -c 'printf "{\"b\": 1}\nx\n{\"b\": 2}\n" | "$1" submit --from - >out 2>err; [ $? -eq 1 ]' x "$lt"
ok "what stood before is in" same "$(total) $(lines out)" '3 1'
ok "it says where" has '1 tasks are in; stopped: standard input:2:1: .*; not sent: from line 2 on' err
empty

# ---- keys ----
ok "--key" status 0 "$lt" submit --key one -- --a 1
cp out k1
ok "again" status 0 "$lt" submit --key one -- --a 1
ok "is the same task" cmp -s k1 out
ok "another key is another" sh -c '"$1" submit --key two -- --a 1 >out 2>err && ! cmp -s k1 out' x "$lt"
ok "with --from, a line each" status 0 "$lt" submit --key f --from t.jsonl
cp out k3
ok "again" status 0 "$lt" submit --key f --from t.jsonl
ok "the same tasks" cmp -s k3 out
ok "line N is TEXT/N" sh -c '"$1" submit --key f/3 -- --lr 1 >out 2>err; [ "$(cat out)" = "$(sed -n 2p k3)" ]' x "$lt"
ok "no more of them" same "$(total)" 5
ok "a sweep's are counted" sh -c '"$1" submit --key s --sweep a=1..3 >k4 2>err && "$1" submit --key s --sweep a=1..3 >out 2>err && cmp -s k4 out' x "$lt"
empty

# ---- interrupted ----
mkfifo pipe
"$lt" submit --from - <pipe >ids 2>err &
pid=$!
exec 3<>pipe   # for both, so that nothing hangs if it ended
printf '{"a": 1}\n{"a": 2}\n{"a":' >&3
two() { [ "$(lines ids)" -eq 2 ]; }
ok "lines of a stream go in as they come" await two
kill -TERM $pid 2>/dev/null
wait $pid
ok "a signal ends it" same $? 143
exec 3>&-
ok "it says how many are in" has '^labtasker: task submit: 2 tasks are in; stopped: interrupted; not sent: from line 3 on' err
ok "as many as it printed" same "$(total)" 2
ok "a reader that goes away stops nothing" sh -c '"$1" submit --sweep a=1..3000 2>err | sed -n 1q; [ ! -s err ]' x "$lt"
all() { [ "$(total)" -eq 3002 ]; }
ok "all go in" await all
