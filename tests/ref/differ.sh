#!/bin/sh
# SPDX-License-Identifier: MIT
# The same requests to a server of the reference and to ours: see differ.py, whose arguments follow.
#   sh tests/ref/differ.sh [LABTASKER [SEED [SEQUENCES [LENGTH]]]]   REFENV: as for run.sh
lt=${1:-./labtasker}
lt=$(cd "$(dirname "$lt")" && pwd)/$(basename "$lt")
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] && shift
dir=$(mktemp -d) || exit 2
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; wait; rm -rf "$dir"' EXIT
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE
if [ -z "$REFENV" ]; then
	REFENV=$dir/env
	python3 -m venv "$REFENV" && "$REFENV/bin/pip" -q install labtasker==1.0.1 || { echo "differ: 0 passed, 1 failed"; exit 1; }
fi
port=$((12000 + $$ % 20000))
(cd "$dir" && TZ=UTC exec "$REFENV/bin/labtasker-server" serve --host 127.0.0.1 --port $port >ref.log 2>&1) &
pids="$pids $!"
(cd "$dir" && TZ=UTC exec "$lt" serve --host 127.0.0.1 --port 0 --store store >ours.log 2>&1) &
pids="$pids $!"
t=0
until [ -f "$dir/store/server.json" ] && python3 -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/health')" 2>/dev/null; do
	t=$((t + 1))
	[ $t -lt 300 ] || { cat "$dir"/*.log; echo "differ: 0 passed, 1 failed"; exit 1; }
	sleep 0.2
done
ours=$(sed -n 's/.*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$dir/store/server.json")
python3 "$here/differ.py" "http://127.0.0.1:$port" "http://127.0.0.1:$ours" "$@"
