#!/bin/sh
# SPDX-License-Identifier: MIT
# What a release says of itself agrees.
. tests/lib.sh
version=$(sed -n 's/^VERSION = //p' Makefile)
ok "Makefile" test -n "$version"
ok "labtasker.h" has "LABTASKER_VERSION \"$version\"" labtasker.h
ok "--version" same "$("$lt" --version | head -n 1)" "labtasker $version"
ok "NEWS begins with it" same "$(sed -n 's/^\([0-9][0-9.]*\).*/\1/p' NEWS | head -n 1)" "$version"
ok "so does Debian's changelog" same "$(sed -n '1s/^labtasker (\(.*\)) .*/\1/p' contrib/debian/changelog)" "$version"
for f in contrib/debian/rules contrib/openrc/labtasker .ci/run; do
	ok "$f can be run" test -x "$f"
done
ok "the unit's line is understood" sh -c '"$0" $(sed -n "s,^ExecStart=/usr/bin/labtasker \(serve\).*,\1 --help,p" contrib/systemd/labtasker.service) >"$1/help"' "$lt" "$base"
