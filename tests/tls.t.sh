#!/bin/sh
# SPDX-License-Identifier: MIT
# TLS from the command line: who is believed, who is refused and with what line, loops and waiting over it, certificates read anew.
# A binary without TLS refuses in one line; a machine without openssl makes no certificates, and the rest is left out.
. "$(dirname "$0")/lib.sh"
unset LABTASKER_CACERT LABTASKER_PIN SSL_CERT_FILE SSL_CERT_DIR

# refuses NAME WHAT COMMAND...: soon, with one line that has WHAT in it.
refuses() {
	case=$1 wanted=$2
	shift 2
	began=$(date +%s)
	ok "$case: refused" status 1 "$@"
	ok "$case: and not after half a minute of trying" test $(($(date +%s) - began)) -lt 20
	ok "$case: in one line" same 1 "$(lines err)"
	ok "$case: that says what to do" has "$wanted" err
}
place without
LABTASKER_API_BASE_URL=https://127.0.0.1:1 LABTASKER_QUEUE_NAME=q LABTASKER_PASSWORD=secret-of-q
export LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD
"$lt" serve --store s --port 0 --cert no --key no 2>err
if grep -q 'no TLS' err; then
	refuses 'https without TLS' 'make TLS=1' "$lt" task ls
	refuses 'serve without TLS' 'make TLS=1' "$lt" serve --store s --port 0 --cert no
	skipped='built without TLS'
	exit
fi
if ! command -v openssl >/dev/null; then
	skipped='no openssl to make certificates'
	exit
fi
echo 'openssl: '"$(openssl version)"

# ---- certificates: issue NAME SAN KIND [START END] ----
place ca
mkdir new
cat >conf <<'C'
[ca]
default_ca = d
[d]
database = index
serial = serial
new_certs_dir = new
default_md = sha256
policy = p
unique_subject = no
default_startdate = 20200101000000Z
default_enddate = 20991231235959Z
[p]
commonName = supplied
[x_ca]
basicConstraints = critical, CA:TRUE
[x]
basicConstraints = CA:FALSE
subjectAltName = $ENV::SAN
C
: >index
echo 01 >serial
SAN=DNS:x
export SAN
key() {
	case $2 in
	rsa) openssl genrsa -out "$1" 2048 ;;
	long) openssl genrsa -out "$1" 4096 ;;
	*) openssl ecparam -name prime256v1 -genkey -noout -out "$1" ;;
	esac 2>/dev/null
}
sign() {   # sign NAME EXTENSIONS OPTIONS...
	n=$1 x=$2
	shift 2
	openssl req -new -key $n.key -subj "/CN=$n of labtasker's tests" -out $n.csr 2>log &&
	    openssl ca -config conf -extensions $x -in $n.csr -out $n.pem -batch -notext "$@" 2>log || cat log
}
issue() {
	SAN=$2
	key $1.key $3
	sign $1 x -keyfile ca.key -cert ca.pem ${4:+-startdate $4 -enddate $5}
	cat $1.key >>$1.both && cat $1.pem ca.pem >>$1.both
	chmod 600 $1.key $1.both
}
pin() { openssl pkey -in $1.key -pubout -outform DER | openssl dgst -sha256 -binary | openssl base64; }
here=DNS:localhost,IP:127.0.0.1
key ca.key ec && sign ca x_ca -selfsign -keyfile ca.key
issue ec $here ec
issue rsa $here rsa
issue long $here long
issue pss $here rsa
openssl req -x509 -new -key pss.key -subj /CN=pss -days 30 -addext "subjectAltName=$here" -sigopt rsa_padding_mode:pss -out pss.pem 2>log
issue other DNS:queue.example,IP:192.0.2.1 ec
issue old $here ec 20200101000000Z 20210101000000Z
issue next $here ec
key self.key rsa && SAN=$here && sign self x -selfsign -keyfile self.key && chmod 600 self.key
openssl req -x509 -new -key ec.key -subj /CN=localhost -days 30 -out nobody.pem 2>log
openssl genrsa -out short.key 1024 2>log && chmod 600 short.key
openssl req -x509 -new -key short.key -subj '/CN=short' -days 30 -addext "subjectAltName=$here" -out short.pem 2>log
key mid.key ec && sign mid x_ca -keyfile ca.key -cert ca.pem
SAN=$here && key leaf.key ec && sign leaf x -keyfile mid.key -cert mid.pem && chmod 600 leaf.key
cat leaf.pem mid.pem ca.pem >chain.pem
cat leaf.pem ca.pem mid.pem >mixed.pem
mkdir issuers && cp ca.pem issuers/some.pem && echo junk >issuers/junk
ca=$PWD
ok 'certificates' test -s self.pem -a -s next.pem -a -s old.pem

# serving CERT KEY ARGS...: a server in ./store, its address in LABTASKER_API_BASE_URL, its pid in $pid.
serving() {
	cert=$1 key=$2
	shift 2
	"$lt" serve --port 0 --store store --cert "$cert" --key "$key" "$@" 2>said & pid=$!
	await test -f store/server.json
	LABTASKER_API_BASE_URL=$(address)
}
ended() {
	kill $pid
	wait $pid
	same $? 0
}

place issuers
serving $ca/ec.pem $ca/ec.key
ok 'its pin is told' has "--pin sha256:$(cd $ca && pin ec)" said
ok 'a queue' status 0 "$lt" queue create --queue-name q --password secret-of-q --cacert $ca/ca.pem
ok 'a file' status 0 "$lt" task ls --cacert $ca/ca.pem
ok 'a directory' status 0 "$lt" task ls --cacert=$ca/issuers
ok 'LABTASKER_CACERT' status 0 env LABTASKER_CACERT=$ca/ca.pem "$lt" task ls
ok 'SSL_CERT_FILE' status 0 env SSL_CERT_FILE=$ca/ca.pem "$lt" task ls
ok 'SSL_CERT_DIR' status 0 env SSL_CERT_DIR=/nowhere:$ca/issuers "$lt" task ls
ok 'the pin of the key' status 0 "$lt" task ls --pin "sha256:$(cd $ca && pin ec)"
finger=$(openssl x509 -in $ca/ec.pem -noout -fingerprint -sha256 | sed 's/.*=//')
ok 'the fingerprint of the certificate' status 0 env LABTASKER_PIN="sha256:$finger" "$lt" task ls
ok 'both a pin and an issuer' status 0 "$lt" task ls --pin "sha256:$finger" --cacert $ca/ca.pem
ok 'a name' status 0 env LABTASKER_API_BASE_URL="https://localhost:${LABTASKER_API_BASE_URL##*:}" "$lt" task ls --cacert $ca/ca.pem
refuses 'an unknown issuer' 'name its issuer with --cacert FILE, or' env SSL_CERT_FILE=$ca/self.pem "$lt" task ls
refuses 'another pin' 'not the pinned one' "$lt" task ls --pin "sha256:$(cd $ca && pin rsa)"
refuses 'a good pin, an unknown issuer' 'name its issuer' "$lt" task ls --pin "sha256:$finger" --cacert $ca/self.pem
refuses 'http to it' 'speaks TLS: use https://' env LABTASKER_API_BASE_URL="http://${LABTASKER_API_BASE_URL#https://}" "$lt" task ls
ok 'no pin' status 2 "$lt" task ls --pin sha256:xyz
ok 'no file' status 2 "$lt" task ls --cacert $ca/none.pem
ok 'no certificate' status 2 "$lt" task ls --cacert $ca/ec.key
ok 'a pin over http' status 2 env LABTASKER_API_BASE_URL=http://127.0.0.1:1 "$lt" task ls --pin "sha256:$finger"
ok 'init' status 0 "$lt" init --url "$LABTASKER_API_BASE_URL" --queue-name q --password secret-of-q --cacert $ca/ca.pem -q
ok 'client.toml' status 0 env -u LABTASKER_API_BASE_URL "$lt" task ls
ok 'config' status 0 "$lt" config "endpoint.pin=sha256:$(cd $ca && pin rsa)"
refuses 'a pin in client.toml' 'not the pinned one' env -u LABTASKER_API_BASE_URL "$lt" task ls
ok 'the command line goes first' status 0 "$lt" task ls --pin "sha256:$finger"
ok 'an end' ended

place strangers
serving $ca/old.pem $ca/old.key
ok 'the server knows' has 'has expired' said
refuses 'an old certificate' 'expired on 2021-01-01: it must be renewed there' "$lt" task ls --cacert $ca/ca.pem
ok 'an end' ended
serving $ca/other.pem $ca/other.key
refuses 'a certificate for others' 'is for queue.example, 192.0.2.1: use that name' "$lt" task ls --cacert $ca/ca.pem
ok 'an end' ended
serving $ca/nobody.pem $ca/ec.key
refuses 'a certificate for no host' 'names no host' "$lt" task ls --cacert $ca/nobody.pem
refuses 'nor is a common name one' 'names no host' env LABTASKER_API_BASE_URL="https://localhost:${LABTASKER_API_BASE_URL##*:}" \
    "$lt" task ls --cacert $ca/nobody.pem
ok 'an end' ended
serving $ca/short.pem $ca/short.key
ok 'the server knows' has 'shorter than 2048 bits' said
refuses 'a short key' 'shorter than 2048 bits' "$lt" task ls --cacert $ca/short.pem
ok 'an end' ended
serving $ca/pss.pem $ca/pss.key
refuses 'a signature of another kind' 'is signed otherwise than by' "$lt" task ls --cacert $ca/ca.pem
ok 'an end' ended
serving $ca/long.pem $ca/long.key
ok 'a long key is nothing to refuse' status 0 "$lt" queue create --queue-name r --password secret-of-q --cacert $ca/ca.pem
ok 'an end' ended
serving $ca/chain.pem $ca/leaf.key
ok 'three certificates are nothing to warn of' same 1 "$(lines said)"
ok 'nor to refuse' status 0 "$lt" queue create --queue-name q --password secret-of-q --cacert $ca/ca.pem
ok 'an end' ended
serving $ca/mixed.pem $ca/leaf.key
ok 'the server knows' has 'not who issued it' said
refuses 'a chain out of order' 'in another order' "$lt" task ls --cacert $ca/ca.pem
ok 'an end' ended
"$lt" serve --port 0 --store store 2>said & pid=$!
await test -f store/server.json
LABTASKER_API_BASE_URL=$(sed -n 's/.*"url":"http\([^"]*\)".*/https\1/p' store/server.json)
refuses 'https to http' 'no TLS is spoken there: use http://' "$lt" task ls --cacert $ca/ca.pem
ok 'an end' ended
for bad in "--cert $ca/ec.pem --key $ca/rsa.key" "--cert $ca/rsa.pem --key $ca/long.key" "--cert $ca/self.pem --key $ca/rsa.key" \
    "--cert $ca/ec.key --key $ca/ec.key" "--cert $ca/none --key $ca/ec.key"; do
	refuses "serve $bad" "^labtasker: $ca/[a-z.]*: " "$lt" serve --port 0 --store store $bad
done
ok 'a key without certificate' status 2 "$lt" serve --port 0 --store store --key $ca/ec.key
ok 'a Unix socket alone' status 2 "$lt" serve --unix sock --store store --cert $ca/ec.both

# A server that everybody finds in the directory needs no more than that.
place found
chmod 644 $ca/rsa.key
"$lt" serve --port 0 --cert $ca/rsa.pem --key $ca/rsa.key 2>said & pid=$!
await test -f .labtasker/server.json
chmod 600 $ca/rsa.key
ok 'a key that all can read' has 'everybody on this machine can read this key: chmod 600' said
for v in API_BASE_URL QUEUE_NAME PASSWORD; do unset LABTASKER_$v; done
ok 'an RSA key, and the pin of server.json' status 0 "$lt" task submit --heartbeat-timeout 1 -- --n 1
ok 'a loop' status 0 "$lt" loop -- sh -c 'sleep 2.5; echo "%(n)"'
ok 'an issuer that is named for other servers is not in the way' status 0 env LABTASKER_CACERT=$ca/self.pem "$lt" task ls
ok 'heartbeats kept it alive' same 1 "$(count success)"
"$lt" loop --wait=20 --max-tasks 2 -- echo '%(n)' >waited 2>&1 & loop=$!
"$lt" task submit -- --n 21 >/dev/null
"$lt" task submit -- --n 22 >/dev/null
ok 'a loop that waits' wait $loop
ok 'gets its tasks' same 3 "$(count success)"
"$lt" event listen --compact --timeout 10 >events 2>&1 & listener=$!
await grep -q . events
"$lt" task submit -- --n 3 >/dev/null
ok 'events' await grep -q 'created *-> pending' events
kill $listener
wait $listener 2>/dev/null
head -c 3000000 /dev/zero | tr '\0' x | sed 's/^/{"args":{"long":"/; s/$/"}}/' >big.jsonl
ok 'much, up' status 0 "$lt" task submit --from big.jsonl
id=$(cat out)
ok 'and down' sh -c '[ "$("$0" task get $1 --json | wc -c)" -gt 3000000 ]' "$lt" "$id"
port=$(sed -n 's/.*"url":"[^"]*:\([0-9]*\)".*/\1/p' .labtasker/server.json)
openssl s_client -connect 127.0.0.1:$port -tls1_2 -reconnect -no_ticket </dev/null >reused 2>&1
ok 'sessions are resumed' same 5 "$(grep -c '^Reused, TLSv1.2' reused)"
openssl s_client -connect 127.0.0.1:$port -tls1_1 -cipher 'ALL:@SECLEVEL=0' </dev/null >oldtls 2>&1
ok 'nothing older than TLS 1.2' hasnt 'Cipher *: [A-Z]' oldtls

# New files on HUP; bad ones change nothing.
cp $ca/next.pem cert && cp $ca/next.key key
ok 'an end' ended
"$lt" serve --port 0 --cert cert --key key 2>said & pid=$!
await test -f .labtasker/server.json
ok 'the first' has "$(cd $ca && pin next)" .labtasker/server.json
cp $ca/self.pem cert && cp $ca/self.key key
kill -HUP $pid
ok 'HUP' await grep -q "$(cd $ca && pin self)" said
ok 'the second, told to all' await grep -q -e "$(cd $ca && pin self)" .labtasker/server.json
ok 'and shown' status 0 "$lt" task ls
echo junk >key
kill -HUP $pid
ok 'a bad one is said' await grep -q 'key: there is no private key in it.*of before stay in use' said
ok 'the second goes on' status 0 "$lt" task ls
rm key && mkfifo key
kill -HUP $pid
ok 'one that nobody writes is not waited for' await grep -q 'key: not a file' said
ok 'the second goes on' status 0 "$lt" task ls
ok 'an end' ended

# Who begins is refused at once; a loop that had answers goes on until the server is mended.
place mended
LABTASKER_QUEUE_NAME=q LABTASKER_PASSWORD=secret-of-q LABTASKER_CACERT=$ca/ca.pem
export LABTASKER_API_BASE_URL LABTASKER_QUEUE_NAME LABTASKER_PASSWORD LABTASKER_CACERT
serving $ca/ec.pem $ca/ec.key
port=${LABTASKER_API_BASE_URL##*:}
ok 'a queue' status 0 "$lt" queue create --queue-name q --password secret-of-q
ok 'a task' status 0 "$lt" submit -- --n 1
"$lt" loop --wait=60 --max-tasks 2 -- echo '%(n)' >done 2>trouble & loop=$!
await grep -q '^1' done
ok 'an end' ended
serving $ca/other.pem $ca/other.key --port $port -v
ok 'it does not believe a strange certificate' await grep -q 'within the TLS handshake' said
ok 'nor tell it anything' hasnt 'queues/me' said
ok 'an end' ended
serving $ca/ec.pem $ca/ec.key --port $port
ok 'a task' status 0 "$lt" submit -- --n 2
ok 'the loop has gone on' wait $loop
ok 'to its end' has '^2' done
ok 'an end' ended
