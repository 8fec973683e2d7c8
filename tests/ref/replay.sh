#!/bin/sh
# SPDX-License-Identifier: MIT
# The recorded exchanges of the reference against our server (CORPORA/api, whose README says what counts as equal).
#   CORPORA=DIR sh tests/ref/replay.sh [LABTASKER] [FILE...]
lt=${1:-./labtasker}
lt=$(cd "$(dirname "$lt")" && pwd)/$(basename "$lt")
[ $# -gt 0 ] && shift
CORPORA=${CORPORA:-../shared/corpora}
api=$(cd "$CORPORA/api" && pwd) || { echo "replay: 0 passed, 1 failed"; exit 1; }
dir=$(mktemp -d) || exit 2
trap 'kill $pid 2>/dev/null; wait; rm -rf "$dir"' EXIT
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE
cd "$dir" || exit 2
TZ=UTC "$lt" serve --host 127.0.0.1 --port 0 --store store 2>log &
pid=$!
until [ -f store/server.json ]; do kill -0 $pid || { cat log >&2; exit 1; }; sleep 0.05; done
port=$(sed -n 's/.*127\.0\.0\.1:\([0-9]*\).*/\1/p' store/server.json)
cd "$api" || exit 2
url=http://127.0.0.1:$port
if [ $# -gt 0 ]; then
	python3 replay.py "$url" "$@"
	exit
fi
# Those that wait for deadlines go beside the others.
python3 replay.py "$url" timeouts.jsonl >"$dir/timeouts" 2>&1 &
late=$!
set -- *.jsonl
for f; do
	shift
	[ "$f" = timeouts.jsonl ] || set -- "$@" "$f"
done
python3 replay.py "$url" "$@" >"$dir/others" 2>&1
wait $late
grep -hv ' passed, ' "$dir/timeouts" "$dir/others"
cat "$dir/timeouts" "$dir/others" | awk '/ passed, / { p += $1; f += $3 } END { print "replay: " p + 0 " passed, " f + 0 " failed"; exit f > 0 || p == 0 }'
