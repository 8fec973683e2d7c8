# SPDX-License-Identifier: MIT
# PROTOCOL's table of routes is the one in the code, both ways: method, path, query flag with its default, who needs no credentials.
# Each has its rows in tests/rest.c, but for the stream of events.
. tests/lib.sh

# {"GET", ME "/tasks/{}", KIND, open, body, fields, "flag" or NULL, default, call}: GET /api/v1/queues/me/tasks/{}?flag=default *
sed -n '/^static const struct route routes/,/^};/s/^	{\(.*\)},$/\1/p' "$top"/server/*.c | awk -F', *' '{
	path = $2
	sub(/^ME/, "/api/v1/queues/me", path)
	gsub(/[" ]/, "", path)
	gsub(/"/, "")
	print $1, path ($7 == "NULL" ? "" : "?" $7 "=" $8) ($4 == "true" ? " *" : "")
}' | sort >"$base/code"
# The query of a heartbeat is no flag.
sed -n '/^1  THE API/,/^2  /p' "$top/PROTOCOL" | awk '/^  (GET|POST|PUT|DELETE) +\// {
	path = $2
	sub(/[?]worker_id=ID$/, "", path)
	gsub(/\/ID/, "/{}", path)
	print $1, path ($3 == "*" ? " *" : "")
}' | sort >"$base/document"
ok "the code has its routes" test "$(lines "$base/code")" -gt 20
while read -r route; do
	ok "PROTOCOL has $route" grep -qxF "$route" "$base/document"
done <"$base/code"
while read -r route; do
	ok "the code has $route" grep -qxF "$route" "$base/code"
done <"$base/document"
while read -r method path open; do
	case $path in */events) continue ;; esac
	row=$(echo "${path%%[?]*}" | sed 's|^/api/v1/queues/me||; s|{}|[^"/]*|g')
	ok "tests/rest.c has rows for $method $path" grep -Eq "\{\"$method\", \"$row([?][^\"]*)?\"" "$top/tests/rest.c"
done <"$base/code"
