# SPDX-License-Identifier: MIT
# finish and task info: what a job says and asks, in a run directory alone and under a loop.
. tests/lib.sh

place alone
ok "finish outside of a job" status 1 "$lt" finish
ok "it says where it belongs" has 'labtasker loop runs' err
ok "task info outside of a job" status 1 "$lt" task info
mkdir run
LABTASKER_LOG_DIR=$PWD/run
export LABTASKER_LOG_DIR
ok "finish" status 0 "$lt" finish
ok "prints nothing" same "$(cat out err)" ""
ok "status.json as the reference writes it" same "$(cat run/status.json)" '{
    "status": "success"
}'
ok "an empty summary" same "$(cat run/summary.json)" '{}'
ok "a summary" status 0 "$lt" finish -s failed --summary '{"loss": 1e-3, "at": [1, "é"], "ok": True, "no": null}'
ok "as JSON, in ASCII, numbers as written" same "$(tr -d '\n' <run/summary.json)" \
    '{    "loss": 1e-3,    "at": [        1,        "\u00e9"    ],    "ok": true,    "no": null}'
ok "and the status" has '"failed"' run/status.json
echo '{"from": "stdin"}' | "$lt" finish --summary - --status cancelled
ok "from standard input" same "$? $(tr -d ' \n' <run/summary.json) $(tr -d ' \n' <run/status.json)" '0 {"from":"stdin"} {"status":"cancelled"}'
ok "nothing is left beside them" same "$(ls run | tr '\n' ' ')" "status.json summary.json "
ok "another status" status 2 "$lt" finish -s done
ok "it says which there are" has 'success|failed|cancelled' err
ok "no dict" status 2 "$lt" finish --summary '[1]'
ok "a key that no server takes" status 2 "$lt" finish --summary '{"a": {"$b": 1}}'
ok "it is named" has '\$b' err
ok "nothing was changed" has stdin run/summary.json
ok "a directory that is not there" env LABTASKER_LOG_DIR="$PWD/none" sh -c '! "$0" finish 2>err' "$lt"
ok "it is named" has "$PWD/none" err
echo '{"task_id":"11111111-2222-4333-8444-555555555555","args":{"x":1.50,"b":{"z":null}}}' >run/task_info.json
ok "task info" status 0 "$lt" task info
ok "is YAML" same "$(cat out)" '- task_id: 11111111-2222-4333-8444-555555555555
  args:
    x: 1.50
    b:
      z: null'
ok "task info --json" status 0 "$lt" task info --json
ok "is one line" same "$(cat out)" '{"task_id":"11111111-2222-4333-8444-555555555555","args":{"x":1.50,"b":{"z":null}}}'
echo '{' >run/task_info.json
ok "a broken file" status 1 "$lt" task info
unset LABTASKER_LOG_DIR

place loop
PATH=$(dirname "$lt"):$PATH
export lt
id=$("$lt" submit --max-retries 1 -- --n 1 2>err)
ok "a job that fails, and has said success" status 0 "$lt" loop -- sh -c '"$lt" task info --json >info; "$lt" finish --summary "{\"n\": $1}"; exit 3' x '%(n)'
ok "task info in the job" has "\"task_id\":\"$id\"" info
"$lt" task ls --no-pager --fmt jsonl >ls.json
ok "what it said is what counts" has '"status":"success"' ls.json
ok "with its summary" has '"summary":{"n":1}' ls.json
id=$("$lt" submit --max-retries 1 -- --n 2 2>err)
ok "a job that succeeds, and has said failed" status 0 "$lt" loop -- sh -c '"$lt" finish -s failed; exit 0 # $1' x '%(n)'
ok "has failed" same "$(count failed)" 1
id=$("$lt" submit --max-retries 1 -- --n 3 2>err)
dd if=/dev/zero bs=1000000 count=17 2>err | tr '\0' y | sed 's/^/{"y": "/; s/$/"}/' >long.json
ok "a job that writes a summary longer than any server takes, and fails" status 0 "$lt" loop --log fail-only -- \
    sh -c 'cp long.json "$LABTASKER_LOG_DIR/summary.json"; echo "{\"status\": \"success\"}" >"$LABTASKER_LOG_DIR/status.json"; exit $1' x '%(n)'
ok "what it said counts, without the summary" same "$("$lt" task get "$id" --json --fields status,summary)" '{"status":"success","summary":{}}'
ok "which stays" cmp long.json .labtasker/logs/run/run_*"$id"*/summary.json
ok "and that is said" has 'longer than 16 MiB: it is left out, and stays in' err
id=$("$lt" submit -- --n 5 2>err)
ok "a job that writes no JSON" status 0 "$lt" loop -- sh -c 'echo "{" >"$LABTASKER_LOG_DIR/summary.json" # $1' x '%(n)'
ok "is told where" has "/summary.json:2:1: .*: its exit status counts" err
id=$("$lt" submit -- --n 6 2>err)
ok "or a pipe" status 0 "$lt" loop -- sh -c 'mkfifo "$LABTASKER_LOG_DIR/summary.json" # $1' x '%(n)'
ok "holds up nobody" has 'summary.json: it is a pipe: its exit status counts' err
id=$("$lt" submit --max-retries 1 -- --n 4 2>err)
ok "a job that deletes its worker" status 1 "$lt" loop --heartbeat-timeout 1 -- sh -c '"$lt" worker delete -y "$LABTASKER_WORKER_ID"; exec sleep 30' x '%(n)'
ok "is stopped, and the loop says why" has 'our worker was deleted: the job is stopped' err
deep=$(awk 'BEGIN { for (i = 0; i < 300; i++) printf "{\"a\":"; printf "1"; for (i = 0; i < 300; i++) printf "}" }')
ok "args that nest deeper than Python's literals" status 0 "$lt" submit --args "{\"deep\": $deep}"
ok "reach the job" status 0 "$lt" loop -- echo '%(deep)'
ok "whole" same "$(tr -d ' ' <out)" "$deep"
