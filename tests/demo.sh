#!/bin/sh
# SPDX-License-Identifier: MIT
# make demo: nine tasks, two workers at once, one task that fails the first time, then the table of results.
bin=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
dir=$(mktemp -d) || exit 1
cd "$dir" || exit 1
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE LABTASKER_WORKER_ID

cat >job.sh <<'J'
#!/bin/sh
# A job: two arguments, some "work", and bad luck the first time for 1 x 12.
if [ "$1" = 1 ] && [ "$2" = 12 ] && mkdir tried 2>/dev/null; then
	echo "arg1=$1 arg2=$2: the disk of this node is tired today" >&2
	exit 1
fi
echo "arg1=$1 arg2=$2: the result is $(($1 * $2))"
J
chmod +x job.sh

run() {
	echo "\$ labtasker $*" | sed 's/%/%/'
	"$bin" "$@"
}

echo "# No server, no configuration: the first command makes a queue in $dir/.labtasker"
for a in 0 1 2; do
	for b in 10 11 12; do
		run task submit -- --arg1 $a --arg2 $b || exit 1
	done
done
echo
echo "# Two workers at once:"
echo "\$ labtasker loop -- ./job.sh '%(arg1)' '%(arg2)' & labtasker loop -- ./job.sh '%(arg1)' '%(arg2)'"
"$bin" loop -- ./job.sh '%(arg1)' '%(arg2)' </dev/null &
"$bin" loop -- ./job.sh '%(arg1)' '%(arg2)' </dev/null || exit 1
wait $! || exit 1
echo
echo "# What became of them:"
"$bin" task ls --fmt jsonl --no-pager >tasks || exit 1
sed 's/.*"status": *"\([a-z]*\)".*"retries": *\([0-9]*\).*"args": *{"arg1": *\([0-9]*\), *"arg2": *\([0-9]*\)}.*/\3 \4 \1 \2/' tasks | sort |
	awk 'BEGIN { printf "%6s %6s %10s %8s\n", "arg1", "arg2", "status", "retries" } { printf "%6s %6s %10s %8s\n", $1, $2, $3, $4 }'
done=$(grep -c '"status": *"success"' tasks)
echo
if [ "$done" -ne 9 ]; then
	echo "demo: $done of 9 tasks succeeded; the queue is in $dir" >&2
	exit 1
fi
cat <<T
All nine are done; one of them needed two tries.  Output and results of each run: $dir/.labtasker/logs/run
Next, in any directory of yours:
    labtasker task submit -- --prompt "an astronaut riding a horse" --guidance_scale 7.5
    labtasker loop -- echo '%(prompt)' '%(guidance_scale)'
    labtasker task ls
T
