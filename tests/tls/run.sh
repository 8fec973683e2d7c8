#!/bin/sh
# SPDX-License-Identifier: MIT
# TLS against others: OpenSSL's clients against our server (strain.py); our commands and worker through nginx, to our server and to
# the reference's; the reference's client against our server.
#   sh tests/tls/run.sh LABTASKER      one built with TLS.  REFENV: as tests/ref/run.sh has it; BENCH: bench/tls.c as a program
lt=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d) || exit 2
passed=0 failed=0 pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; wait; rm -rf "$dir"' EXIT
for v in ROOT API_BASE_URL QUEUE_NAME PASSWORD PASSWORD_FILE WORKER_ID CACERT PIN; do unset LABTASKER_$v; done
unset SSL_CERT_FILE SSL_CERT_DIR
if [ -z "$REFENV" ]; then
	REFENV=$dir/env
	python3 -m venv "$REFENV" && "$REFENV/bin/pip" -q install labtasker==1.0.1 || { echo "tls: 0 passed, 1 failed"; exit 1; }
fi
NO_COLOR=1 TERM=dumb COLUMNS=200 TZ=UTC
export NO_COLOR TERM COLUMNS TZ

ok() {   # ok NAME CONDITION...
	name=$1
	shift
	if "$@" >"$dir/out" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "tls: FAILED: $name: $*" >&2
		cat "$dir/out" >&2
	fi
}
same() { [ "$1" = "$2" ] || { echo "--- got '$1', expected '$2'"; false; }; }
has() { grep -q -- "$1" "$2" || { echo "--- $2 has no $1:"; cat "$2"; false; }; }
count() { "$lt" task ls --fmt jsonl --no-pager -s "$1" | wc -l | tr -d ' '; }
await() {   # await COMMAND...: until it is true
	n=0
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		[ $n -lt 300 ] || { echo "tls: waited in vain for: $*" >&2; return 1; }
		sleep 0.1
	done
}

cd "$dir" || exit 2
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=issuer 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout other.key -out other.pem -days 30 -subj /CN=other 2>/dev/null
for kind in ec rsa; do
	case $kind in
	ec) openssl ecparam -name prime256v1 -genkey -noout -out $kind.key ;;
	rsa) openssl genrsa -out $kind.key 2048 2>/dev/null ;;
	esac
	printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >ext
	openssl req -new -key $kind.key -subj /CN=server -out csr && openssl x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial \
	    -days 30 -extfile ext -out $kind.pem 2>/dev/null
	chmod 600 $kind.key
done

# ---- OpenSSL's clients ----
"$lt" serve --port 0 --store own --timeout 3 --cert ec.pem --key ec.key 2>own.log & pids="$pids $!"
await test -s own/server.json
own=$(sed -n 's/.*"url":"https:\/\/127.0.0.1:\([0-9]*\)".*/\1/p' own/server.json)
if python3 -W ignore "$here/strain.py" 127.0.0.1 "$own" ca.pem 3 >strain 2>&1; then :; else failed=$((failed + 1)); fi
cat strain
passed=$((passed + $(sed -n 's/strain: \([0-9]*\) passed.*/\1/p' strain)))
if [ -n "$BENCH" ]; then
	"$lt" serve --port 0 --store rsa --cert rsa.pem --key rsa.key 2>rsa.log & pids="$pids $!"
	await test -s rsa/server.json
	for s in own rsa; do echo "$s: $("$BENCH" "$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' $s/server.json)" ca.pem 100)"; done
fi
ok 'the server has nothing to say' same 1 "$(wc -l <own.log | tr -d ' ')"

# ---- nginx before our server and before the reference's ----
port=$((12000 + $$ % 20000)) rp=$((port + 1)) op=$((port + 2)) refp=$((port + 3))
"$lt" serve --port $op --store plain 2>plain.log & pids="$pids $!"
PERIODIC_TASK_INTERVAL=1 "$REFENV/bin/labtasker-server" serve --host 127.0.0.1 --port $refp >ref.log 2>&1 & pids="$pids $!"
cat >nginx.conf <<C
daemon off;
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/nginx.err;
events {}
http {
	access_log $dir/nginx.log;
	client_body_temp_path $dir/tmp1; proxy_temp_path $dir/tmp2; fastcgi_temp_path $dir/tmp3; uwsgi_temp_path $dir/tmp4; scgi_temp_path $dir/tmp5;
	client_max_body_size 16m;
	ssl_session_cache shared:s:1m;
	proxy_buffering off;
	server { listen 127.0.0.1:$port ssl; ssl_certificate $dir/rsa.pem; ssl_certificate_key $dir/rsa.key; location / { proxy_pass http://127.0.0.1:$op; } }
	server { listen 127.0.0.1:$rp ssl; ssl_certificate $dir/ec.pem; ssl_certificate_key $dir/ec.key; location / { proxy_pass http://127.0.0.1:$refp; } }
}
C
nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/nginx.err" 2>nginx.say & pids="$pids $!"
LABTASKER_CACERT=$dir/ca.pem LABTASKER_QUEUE_NAME=q LABTASKER_PASSWORD=secret-of-q
export LABTASKER_CACERT LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_API_BASE_URL
for p in $port $rp; do
	case $p in $port) who='our server behind nginx' ;; *) who='the reference behind nginx' ;; esac
	LABTASKER_API_BASE_URL=https://localhost:$p
	await "$lt" health
	ok "$who: health" "$lt" health
	ok "$who: a queue" "$lt" queue create --queue-name q --password secret-of-q
	for n in 1 2 3; do ok "$who: a task" "$lt" task submit --heartbeat-timeout 3 -- --n $n; done
	ok "$who: a loop" "$lt" loop --heartbeat-timeout 3 -- sh -c 'echo "%(n)"; [ "%(n)" != 1 ] || sleep 4'
	ok "$who: all succeeded" same 3 "$(count success)"
	ok "$who: an unknown issuer is refused" sh -c '! LABTASKER_CACERT=$1 "$0" task ls 2>err && grep -q "name its issuer" err' "$lt" other.pem
	ok "$who: a plain client is refused" sh -c '! LABTASKER_API_BASE_URL=http://localhost:$1 "$0" task ls 2>err && grep -q "400 .*https" err' "$lt" $p
done
LABTASKER_API_BASE_URL=https://localhost:$port
"$lt" loop --wait=20 --max-tasks 1 -- echo '%(n)' >waited 2>&1 & loop=$!
"$lt" event listen --compact --timeout 20 >events 2>&1 & pids="$pids $!"
await grep -q . events
ok 'a task for a loop that waits' "$lt" task submit -- --n 4
ok 'it is taken' wait $loop
ok 'events come through' await grep -q 'created *-> pending' events

# ---- the reference's client against our server ----
mkdir -p theirs/.labtasker && cat >theirs/.labtasker/client.toml <<C
version_check = false
[endpoint]
api_base_url = "https://localhost:$own"
[queue]
queue_name = "q"
password = "secret-of-q"
[task]
heartbeat_interval = 1
C
unset LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_API_BASE_URL
SSL_CERT_FILE=$dir/ca.pem
export SSL_CERT_FILE
cd theirs || exit 2
ok 'its queue' "$REFENV/bin/labtasker" queue create-from-config
ok 'its submit' "$REFENV/bin/labtasker" task submit -- --n 5
ok 'its loop' "$REFENV/bin/labtasker" loop -- echo '%(n)'
ok 'its task ls' sh -c '"$0" task ls --no-pager | grep success' "$REFENV/bin/labtasker"
cd ..
echo "tls: $passed passed, $failed failed"
[ $failed -eq 0 ]
