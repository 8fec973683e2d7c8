/* SPDX-License-Identifier: MIT */
/* util.c: numbers, durations, names, UTF-8, ids, buffers; of sys.c, sys_timeout. */
#include "../labtasker.h"
#include "test.h"

#include <math.h>

static void
test_int(void)
{
	static const struct {
		const char *text;
		int rc;
		int64_t v;
	} row[] = {
		{"0", 0, 0}, {"-1", 0, -1}, {"9223372036854775807", 0, INT64_MAX}, {"-9223372036854775808", 0, INT64_MIN},
		{"9223372036854775808", -1, 0}, {"-9223372036854775809", -1, 0}, {"", -1, 0}, {"-", -1, 0}, {"1x", -1, 0}, {" 1", -1, 0},
		{"1.0", -1, 0}, {"0x10", -1, 0}, {"99999999999999999999", -1, 0},
	};

	for (size_t i = 0; i < LEN(row); i++) {
		int64_t v = 0;
		int rc = parse_int(str_of(row[i].text), &v);

		check(rc == row[i].rc && (rc || v == row[i].v), "parse_int(\"%s\") = %d, %lld", row[i].text, rc, (long long)v);
	}
}

static void
test_float(void)
{
	static const struct {
		const char *text;
		int rc;
		double v;
	} row[] = {
		{"90", 0, 90}, {"1.5", 0, 1.5}, {"1e2", 0, 100}, {"-0.25", 0, -0.25}, {"1e400", -1, 0}, {"nan", -1, 0}, {"inf", -1, 0},
		{"0x1p3", -1, 0}, {"", -1, 0}, {"1.5s", -1, 0}, {"1e", -1, 0},
	};
	char zeros[1000];
	double v;

	for (size_t i = 0; i < LEN(row); i++) {
		int rc = parse_float(str_of(row[i].text), &v);

		check(rc == row[i].rc && (rc || v == row[i].v), "parse_float(\"%s\") = %d, %g", row[i].text, rc, v);
	}
	memset(zeros, '0', sizeof zeros);
	zeros[sizeof zeros - 1] = '7';
	check(!parse_float((struct str){zeros, sizeof zeros}, &v) && v == 7, "%d zeros before it", (int)sizeof zeros - 1);
}

static void
test_cut(void)
{
	static const struct {
		double d;
		int rc;
		int64_t v;
	} row[] = {
		{0, 0, 0}, {2.9, 0, 2}, {-2.9, 0, -2}, {1e18, 0, INT64_C(1000000000000000000)}, {9223372036854774784.0, 0, INT64_MAX - 1023},
		{9223372036854775808.0, -1, 0}, {-9223372036854775808.0, 0, INT64_MIN}, {-9223372036854777856.0, -1, 0}, {1e300, -1, 0},
		{1e300 * 1e300, -1, 0}, {-1e300 * 1e300, -1, 0},
	};
	int64_t none = 0;

	for (size_t i = 0; i < LEN(row); i++) {
		int64_t v = 0;
		int rc = real_cut(row[i].d, &v);

		check(rc == row[i].rc && v == row[i].v, "real_cut(%g) = %d, %lld", row[i].d, rc, (long long)v);
	}
	check(real_cut(NAN, &none) == -1, "what is no number");   /* in no table: tcc does not take it for constant */
}

static void
test_duration(void)
{
	static const struct {
		const char *text;
		double v;   /* -1: refused */
	} row[] = {
		{"90", 90}, {"1.5", 1.5}, {"1e2", 100}, {"1h", 3600}, {"1h30m", 5400}, {"1h30m15s", 5415}, {"1 hour, 30 minutes", 5400},
		{"2 HOURS", 7200}, {"5min", 300}, {"5 mins", -1}, {"1:h", 3600}, {"1d", -1}, {"", -1}, {"h", -1}, {"1h30", -1}, {"10 secs", -1},
		{"10 seconds", 10}, {"1h-5m", -1}, {"abc", -1},
	};

	for (size_t i = 0; i < LEN(row); i++) {
		double v = 0;
		int rc = parse_duration(str_of(row[i].text), &v);

		check(row[i].v < 0 ? rc < 0 : !rc && v == row[i].v, "parse_duration(\"%s\") = %d, %g", row[i].text, rc, v);
	}
}

static void
test_utf8(void)
{
	static const struct {
		const char *text;
		size_t n;
		uint32_t cp;   /* n 0: invalid */
	} row[] = {
		{"a", 1, 'a'}, {"\xc3\xa9", 2, 0xe9}, {"\xe2\x82\xac", 3, 0x20ac}, {"\xf0\x9f\x98\x80", 4, 0x1f600}, {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
		{"\xc0\x80", 0, 0}, {"\xc1\xbf", 0, 0}, {"\xe0\x9f\xbf", 0, 0}, {"\xed\xa0\x80", 0, 0}, {"\xf0\x8f\xbf\xbf", 0, 0},
		{"\xf4\x90\x80\x80", 0, 0}, {"\xf8\x88\x80\x80", 0, 0}, {"\x80", 0, 0}, {"\xe2\x82", 0, 0}, {"\xff", 0, 0},
	};

	for (size_t i = 0; i < LEN(row); i++) {
		uint32_t cp = 0;
		size_t n = utf8_get(row[i].text, strlen(row[i].text), &cp);
		char out[4];

		check(n == row[i].n && (!n || cp == row[i].cp), "utf8_get row %d: %d bytes, %lx", (int)i, (int)n, (unsigned long)cp);
		if (n)
			check(utf8_put(out, cp) == n && !memcmp(out, row[i].text, n), "utf8_put row %d", (int)i);
		check(utf8_valid(row[i].text, strlen(row[i].text)) == (n > 0), "utf8_valid row %d", (int)i);
	}
}

static void
test_parts(void)
{
	static const char *const rows[] = {"a.b", "a|b", ".", "|", "", "", "a..", "a||"};

	for (size_t i = 0; i < LEN(rows); i += 2) {
		struct str rest = str_of(rows[i]);
		struct buf b = {0};

		buf_adds(&b, "");
		while (rest.p) {
			struct str part = str_part(&rest, '.');

			buf_add(&b, part.p, part.n);
			buf_adds(&b, rest.p ? "|" : "");
		}
		check(!strcmp(b.p, rows[i + 1]), "parts of '%s': '%s'", rows[i], b.p);
		buf_free(&b);
	}
}

static void
test_names(void)
{
	char name[102];

	memset(name, 'a', sizeof name);
	check(name_valid((struct str){name, 100}), "100 characters are a name");
	check(!name_valid((struct str){name, 101}), "101 are not");
	check(!name_valid(str_of("")) && !name_valid(str_of("a b")) && !name_valid(str_of("a.b")) && name_valid(str_of("A-z_09")), "names");
	check(key_valid(str_of("a")) && key_valid(str_of("a.b-c.0_")) && key_valid((struct str){name, 101}), "keys");
	check(!key_valid(str_of("")) && !key_valid(str_of(".a")) && !key_valid(str_of("a.")) && !key_valid(str_of("a..b")) &&
	    !key_valid(str_of("a b")), "no keys");
	check(password_valid((struct str){name, 100}) && !password_valid((struct str){name, 101}) && !password_valid(str_of("")) &&
	    password_valid(str_of("\xc3\xa9")) && !password_valid(str_of("\xc3")), "passwords");
}

static void
test_uuid(void)
{
	unsigned char id[16];
	char text[37];

	check(!uuid_parse(str_of("00112233-4455-6677-8899-AABBCCDDEEFF"), id), "upper case is read");
	uuid_print(id, text);
	check(!strcmp(text, "00112233-4455-6677-8899-aabbccddeeff"), "printed in lower case: %s", text);
	check(uuid_parse(str_of("00112233-4455-6677-8899-aabbccddeef"), id) < 0, "too short");
	check(uuid_parse(str_of("00112233-4455-6677-8899-aabbccddeefg"), id) < 0, "no hex digit");
	check(uuid_parse(str_of("00112233x4455-6677-8899-aabbccddeeff"), id) < 0, "no dash");
	sys_uuid(text);
	check(!uuid_parse(str_of(text), id) && id[6] >> 4 == 4 && id[8] >> 6 == 2, "a random id is of version 4: %s", text);
}

static void
test_buf(void)
{
	struct buf b = {0};

	buf_adds(&b, "abc");
	buf_addc(&b, 'd');
	buf_addint(&b, INT64_MIN);
	buf_printf(&b, "%s|%d", "x", 7);
	check(!strcmp(b.p, "abcd-9223372036854775808x|7") && b.len == strlen(b.p), "buf: %s", b.p);
	buf_drop(&b, 4);
	check(!strcmp(b.p, "-9223372036854775808x|7"), "buf_drop: %s", b.p);
	buf_clear(&b);
	check(b.len == 0, "buf_clear");
	for (int i = 0; i < 100000; i++)
		buf_addc(&b, (char)('a' + i % 26));
	check(b.len == 100000 && b.p[99999] == 'a' + 99999 % 26 && !b.p[100000], "a long buf");
	buf_wipe(&b);
	check(!b.p && !b.len && !b.cap, "buf_wipe");
	buf_wipe(&b);
}

static void
test_order(void)
{
	static const char *const row[] = {"", "a", "a-", "aa", "b", "\xc3\xa4"};

	for (int i = 0; i < 6; i++)
		for (int j = 0; j < 6; j++) {
			int c = str_order(str_of(row[i]), str_of(row[j]));

			check((c > 0) - (c < 0) == (i > j) - (i < j), "str_order(\"%s\", \"%s\")", row[i], row[j]);
		}
	check(!str_order((struct str){0}, str_of("")), "nothing is empty");
}

static void
test_hex(void)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";

	for (int i = 0; i < 32; i++)
		check(hex_digit(digits[i]) == i % 16, "hex_digit('%c')", digits[i]);
	for (int c = -128; c < 256; c++)
		check((hex_digit(c) >= 0) == (c > 0 && strchr(digits, c) != NULL), "hex_digit(%d)", c);
}

static void
test_timeout(void)
{
	check(sys_timeout(INT64_MAX, 5) == -1, "without an end");
	check(sys_timeout(5, 5) == 0 && sys_timeout(-1, 5) == 0, "it is over");
	check(sys_timeout(6, 5) == 1 && sys_timeout(1005, 5) == 1 && sys_timeout(1006, 5) == 2, "upwards");
	check(sys_timeout(INT64_MAX - 1, 5) == 60000 && sys_timeout(3600 * SECOND, 0) == 60000, "a minute at most");
}

static void
test_visible(void)
{
	static const struct {
		const char *text, *shown;
	} row[] = {
		{"a \xc3\xa9", "a \xc3\xa9"}, {"\033[31m", "\\x1b[31m"}, {"\xc2\x9b" "31m", "\\x9b31m"}, {"\x9b" "31m", "\\x9b31m"},
		{"a\tb\nc\177", "a\\x09b|c\\x7f"}, {"\xc2", "\\xc2"}, {"\xc2\xa0", "\xc2\xa0"}, {"", ""},
	};
	struct buf b = {0};

	for (size_t i = 0; i < LEN(row); i++) {
		buf_clear(&b);
		buf_visible(&b, str_of(row[i].text), "|");
		check(!strcmp(b.p ? b.p : "", row[i].shown), "visible: %s", b.p);
	}
	buf_free(&b);
}

/* A deep path, of letters of two bytes: where it begins and what is wrong with it are said, and no letter is cut in two. */
static void
test_err_long(void)
{
	char path[601] = {0};

	for (size_t i = 0; i + 2 < sizeof path; i += 2)
		memcpy(path + i, "\xc3\xa9", 2);
	for (int i = 0; i < 4; i++) {
		struct err e = {0};

		err_set(&e, 1, "/%.*s%s: Permission denied", i, "abc", path);
		check(!strncmp(e.msg, "/abc", (size_t)i + 1) && strstr(e.msg, "...") && strstr(e.msg, ": Permission denied"), "got %s", e.msg);
		check(utf8_valid(e.msg, strlen(e.msg)) && strlen(e.msg) > sizeof e.msg - 6, "whole letters, %d bytes", (int)strlen(e.msg));
	}
}

static void
test_err(void)
{
	struct err e = {0};

	check(err_set(&e, 7, "first %d", 1) == -1 && err_at(&e, 8, 3, "second") == -1, "they give -1");
	check(e.code == 7 && !strcmp(e.msg, "first 1") && !e.pos, "the first error wins: %s", e.msg);
	e = (struct err){0};
	err_at(&e, 1, 6, "here");
	err_locate(&e, "ab\ncd\nef", 8);
	check(e.line == 3 && e.col == 1, "line %d column %d", (int)e.line, (int)e.col);
	check(err_set(NULL, 1, "nobody listens") == -1, "NULL is fine");
	test_err_long();
}

int
main(void)
{
	test_int();
	test_float();
	test_cut();
	test_duration();
	test_utf8();
	test_parts();
	test_names();
	test_uuid();
	test_buf();
	test_order();
	test_hex();
	test_timeout();
	test_visible();
	test_err();
	return test_done("util");
}
