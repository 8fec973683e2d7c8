# SPDX-License-Identifier: MIT
# Python-style filters from the command line to the server: what matches, what -v shows, how a refusal looks.
. tests/lib.sh

place filter
for lr in 0.1 0.5 1; do "$lt" submit --task-name "n$(echo $lr | tr . _)" -- --lr $lr --tags '["a", "b"]' --m.k $lr >>ids 2>>err.submit </dev/null; done
"$lt" submit -- --other 1 --wd 2 >>ids 2>>err.submit </dev/null
id() { sed -n "$1p" ids; }
matches() { "$lt" task ls -q --no-pager -f "$1" 2>err </dev/null | wc -l | tr -d ' '; }

ok "a comparison" same "$(matches 'args.lr > 0.1')" 2
ok "a value first" same "$(matches '0.5 >= args.lr')" 2
ok "and, or" same "$(matches 'args.lr == 1 or args.other == 1 and args.wd == 2')" 2
ok "in a list" same "$(matches 'args.lr in [0.1, 0.5, 7]')" 2
ok "list()" same "$(matches '"a" in list(args.tags)')" 3
ok "dict()" same "$(matches '"k" in dict(args.m)')" 3
ok "exists()" same "$(matches 'exists(args.lr, False)')" 1
ok "regex()" same "$(matches 'regex(task_name, "^n0_")')" 2
ok "arithmetic skips tasks without the field" same "$(matches 'args.lr * 2 <= args.m.k + 0.5')" 2
ok "date()" same "$(matches 'created_at > date("1 hour ago") and created_at < date("tomorrow")')" 4
ok "date() in UTC" same "$(matches 'created_at > date("now UTC")')" 0
ok "the zone of TZ" same "$(TZ=UTC-14 matches 'created_at > date("2 hours ago")')" 4
ok "an id" same "$("$lt" task ls -q --no-pager -f "task_id == \"$(id 2)\"")" "$(id 2)"
ok "a dict is MongoDB's" same "$(matches '{"args.lr": {"$ne": 1}}')" 3
ok "with JSON's words" same "$(matches '{"args.lr": {"$exists": true}}')" 3

ok "-v shows the document" status 0 "$lt" task ls -v -q --no-pager -f 'args.lr > 0.7'
ok "on stderr" has '"extra_filter": {"args.lr": {"$gt": 0.7}}' err
ok "and nothing else of it on stdout" same "$(cat out)" "$(id 3)"

ok "a refusal" status 2 "$lt" task ls -f 'args.lr > 0.1 and statu == 1'
cat >want <<'W'
labtasker: task ls: Invalid value for --extra-filter: 1:19: 'statu' is no field: did you mean status?
args.lr > 0.1 and statu == 1
                  ^
W
ok "says where, with a hint" cmp -s err want
ok "loop's too" status 2 "$lt" loop -f 'args.lr = 1' -- echo '%(lr)'
ok "names the command" has '^labtasker: loop: Invalid value for --extra-filter: 1:9: = is not understood: write == to compare$' err
for c in 'task update -u priority=1' 'task delete -y' 'worker ls' 'task cancel' explain; do
	ok "refused by $c" status 2 "$lt" $c -f 'args.lr >'
	ok "$c shows where" sh -c 'sed -n 3p err | grep -qx "         ^"'
done
ok "no filter" same "$(matches '')" 4
