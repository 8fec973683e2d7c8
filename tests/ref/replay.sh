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
port=$((20000 + $$ % 20000))
trap 'kill $pid 2>/dev/null; wait; rm -rf "$dir"' EXIT
unset LABTASKER_ROOT LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_PASSWORD_FILE
cd "$dir" || exit 2
TZ=UTC "$lt" serve --host 127.0.0.1 --port $port --store store 2>log &
pid=$!
until [ -f store/server.json ]; do kill -0 $pid || { cat log >&2; exit 1; }; done
cd "$api" || exit 2
[ $# -gt 0 ] || set -- *.jsonl
python3 replay.py "http://127.0.0.1:$port" "$@"
