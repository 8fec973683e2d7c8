# SPDX-License-Identifier: MIT
# The commands that the guide of the Python package shows for queues and tasks, as they stand there.
. tests/lib.sh
bin=$base/bin
mkdir -p "$bin" && cp "$lt" "$bin/labtasker" && PATH=$bin:$PATH
# guide N COMMAND: a line of shell ends with that status.
guide() {
	want=$1
	shift
	sh -c "$*" >out 2>err </dev/null
	got=$?
	[ "$got" -eq "$want" ] || { echo "exit status $got, expected $want: $*"; cat out err; false; }
}

place guide
serve_port
labtasker init -q --url "$url" --queue-name my-project --password secret --no-create-queue 2>err
ok "queue create-from-config" guide 0 'labtasker queue create-from-config'
ok "queue get" guide 0 'labtasker queue get'
ok "an id for scripts" guide 0 'queue_id=$(labtasker queue get --quiet); [ ${#queue_id} -eq 36 ]'
ok "queue update" guide 0 "labtasker queue update --metadata '{\"department\": \"research\", \"priority\": \"high\"}'"
ok "its metadata is there" has 'department: research' out
ok "queue update, none" guide 0 "labtasker queue update --metadata '{}'"
ok "queue create" guide 0 "PASSWORD=x labtasker queue create --queue-name \"project-x\" --metadata '{\"department\": \"engineering\"}'"
for c in 'queue create' 'queue update' 'queue delete' 'task delete' 'task ls'; do
	ok "$c --help" guide 0 "labtasker $c --help"
done
id=$(labtasker task submit --task-name task_name --metadata '{"tags": ["experimental"], "tag": "a"}' -- --foo.bar 0.15 --foo.baz 2 --arg1 0.1)
labtasker task submit --task-name training-job --metadata '{"tags": ["tag-baz"]}' --priority 6 -- --foo.bar 0.05 --foo.baz 0.1 >/dev/null
labtasker task submit -- --other 1 >/dev/null
# some N COMMAND: so many lines.
some() {
	n=$1
	shift
	guide 0 "$*" && same "$(lines out)" "$n"
}
ok "task ls" guide 0 'labtasker task ls'
ok "task ls -s" some 3 'labtasker task ls -s pending -q'
ok "task ls --status" some 3 'labtasker task ls --status pending --quiet'
ok "task ls -s running" guide 0 'labtasker task ls -s running'
ok "none of them" same "$(cat out)" '[]'
ok "task ls --name" some 1 'labtasker task ls --name "training-job" -q'
ok "a MongoDB filter" some 2 "labtasker task ls --extra-filter '{\"metadata.tags\": {\"\$in\": [\"experimental\", \"tag-baz\"]}}' --quiet --no-pager"
ok "another" some 1 "labtasker task ls -f '{\"args.foo.bar\": {\"\$gt\": 0.1}}' --quiet --no-pager"
ok "a Python filter" some 1 "labtasker task ls -f 'args.foo.bar > 0.1' --quiet --no-pager"
ok "and" some 0 "labtasker task ls -q -f 'args.foo.bar > 0.1 and args.foo.baz < 0.2'"
ok "or" some 2 "labtasker task ls -q -f 'args.foo.bar > 0.1 or args.foo.baz < 0.2'"
ok "a name" some 1 "labtasker task ls -q -f 'task_name == \"task_name\"'"
ok "a date" some 3 "labtasker task ls -q -f 'created_at >= date(\"3 hours ago\")'"
ok "a day" guide 0 "labtasker task ls -f 'created_at >= date(\"Jul 28 11:25\")'"
ok "a day with a zone" guide 0 "labtasker task ls -f 'created_at >= date(\"Jul 28 14:47 UTC\")'"
ok "in a list" some 1 "labtasker task ls -q -f 'metadata.tag in [\"a\", \"b\"] and priority == 10'"
ok "task ls -f priority" some 3 "labtasker task ls -q -f 'priority > 5'"
ok "task ls -S" guide 0 "labtasker task ls -S 'created_at:desc'"
ok "task update --" guide 0 "labtasker task update --id $id -- args.arg1=0.3 args.arg2='{\"arg21\": 0.4}'"
ok "changes" has 'arg21: 0.4' out
ok "task update -u" guide 0 "labtasker task update --id $id -u 'args.arg1=0.3' -u 'args.arg2={\"arg21\": 0.4}'"
ok "task update --status" guide 0 'labtasker task update --status pending -- metadata.tag=important'
ok "in a pipe" guide 0 "labtasker task ls -q | labtasker task update -u 'status=cancelled'"
ok "all are cancelled" same "$(count cancelled)" 3
ok "task delete" guide 0 "labtasker task ls -f 'created_at > date(\"10 minutes ago\")' -q | labtasker task delete -y"
ok "all are gone" same "$(labtasker task ls -q)" ""
ok "worker create" guide 0 "labtasker worker create --name \"gpu-worker-1\" --metadata '{\"gpu\": \"rtx3090\"}'"
ok "rename the queue" guide 0 'labtasker queue update --new-queue-name "renamed-project"'
ok "--version" guide 0 'labtasker --version'
ok "health" guide 0 'labtasker health'
kill $server
wait $server 2>/dev/null
