/* SPDX-License-Identifier: MIT */
/* JSON: what is read, refused and printed, numbers both ways, objects against a plain model; the public suites where given. */
#include "../json.c"
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

static char *page, *page_end;        /* behind page_end stands a page that nobody may touch */
static size_t page_size;

static void
pages_open(void)
{
	size_t unit = (size_t)sysconf(_SC_PAGESIZE);
	int fd = open("/dev/zero", O_RDWR);
	void *p;

	page_size = 16 * unit;
	p = mmap(NULL, page_size + unit, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (fd < 0 || p == MAP_FAILED || mprotect((char *)p + page_size, unit, PROT_NONE) < 0) {
		perror("json: a page that traps");
		exit(2);
	}
	close(fd);
	page = p;
	page_end = page + page_size;
}

/* Parses a copy whose end is the end of what may be read, and which is gone afterwards. */
static struct json_doc *
parse(const char *p, size_t n, struct err *e)
{
	char *copy = page_end - n;
	struct json_doc *d;

	if (n > page_size)
		return json_parse(p, n, e);
	memmove(copy, p, n);
	d = json_parse(copy, n, e);
	memset(copy, '#', n);
	return d;
}

static struct json_doc *
parses(const char *text)
{
	struct err e = {0};
	struct json_doc *d = parse(text, strlen(text), &e);

	if (!d) {
		fprintf(stderr, "json: %s: %lu: %s\n", text, (unsigned long)e.pos, e.msg);
		exit(2);
	}
	return d;
}

/* Whether the lists, lengths and indexes of v hang together. */
static bool
sound(const struct json *v)
{
	const struct json *prev = NULL;
	size_t n = 0;

	if (v->type == JSON_STR)
		return !v->s[v->len] && utf8_valid(v->s, v->len);
	if (v->type == JSON_NUM)
		return strlen(v->s) == v->len;
	if (v->type != JSON_ARR && v->type != JSON_OBJ)
		return !v->head && !v->tail;
	for (const struct json *m = v->head; m; prev = m, m = m->next, n++) {
		struct json *before;

		if (!sound(m) || (v->type == JSON_OBJ && (find(v, m->key, &before) != m || before != prev)))
			return false;
	}
	return n == v->len && prev == v->tail && (v->type != JSON_OBJ || v->len <= FEW || v->index);
}

/* What is printed, in any form, is read again as the same. */
static bool
survives(const struct json *v)
{
	static const int flags[] = {0, JSON_SPACED, JSON_ASCII, 2, 7 | JSON_ASCII | JSON_SPACED};
	bool fine = sound(v) && json_eq(v, v);

	for (size_t i = 0; i < LEN(flags) && fine; i++) {
		struct buf b = {0}, again = {0};
		struct json_doc *d;

		json_print(&b, v, flags[i]);
		d = parse(b.p, b.len, NULL);
		fine = d && json_eq(d->root, v) && json_eq(v, d->root) && b.p[b.len] == 0;
		if (fine)
			json_print(&again, d->root, flags[i]);
		fine = fine && again.len == b.len && !memcmp(b.p, again.p, b.len);
		json_free(d);
		buf_free(&b);
		buf_free(&again);
	}
	return fine;
}

/* ---- what is read ---- */

static const struct {
	const char *text, *want;
} good[] = {
	{"null", "null"}, {"true", "true"}, {"false", "false"}, {" \t\r\n1 \t\r\n", "1"}, {"\"\"", "\"\""}, {"[]", "[]"},
	{"{}", "{}"},
	{"[ ]", "[]"}, {"{\n}", "{}"}, {"[1,2 , 3]", "[1,2,3]"}, {"[[],{},[[]]]", "[[],{},[[]]]"},
	{"{\"b\":1,\"a\":2}", "{\"b\":1,\"a\":2}"}, {"{\"a\" : [ true ] }", "{\"a\":[true]}"},
	/* numbers keep their text */
	{"[0,-0,9,10,-1,1.50,1E+2,1e-02,0e0,0.0e00]", "[0,-0,9,10,-1,1.50,1E+2,1e-02,0e0,0.0e00]"},
	{"123456789012345678901234567890", "123456789012345678901234567890"}, {"1e-400", "1e-400"}, {"1e308", "1e308"},
	{"1.7976931348623157e308", "1.7976931348623157e308"}, {"1797693134862315700000e287", "1797693134862315700000e287"},
	{"0e999999999999999999999", "0e999999999999999999999"}, {"0.001e310", "0.001e310"},
	{"1e-99999999999999999999", "1e-99999999999999999999"},
	/* repeated members: the first's place, the last's value */
	{"{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}"}, {"{\"a\":[1,{}],\"a\":{\"c\":0}}", "{\"a\":{\"c\":0}}"},
	{"{\"a\":{\"c\":0},\"\\u0061\":\"x\"}", "{\"a\":\"x\"}"}, {"{\"a\":\"x\",\"a\":null}", "{\"a\":null}"},
	{"{\"a\":true,\"a\":[],\"a\":7}", "{\"a\":7}"}, {"{\"\":1,\"\":2}", "{\"\":2}"},
	/* strings */
	{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
	{"\"\\u0000\\u001f\\u0020\\u007f\"", "\"\\u0000\\u001f \x7f\""},
	{"\"\\u00e9\\u20ac\\uD83D\\uDE00\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
	{"\"\\uABCD\\uabcd\"", "\"\xea\xaf\x8d\xea\xaf\x8d\""},
	{"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\""},
	{"\"\\ud800\\udc00\\udbff\\udfff\\uffff\"", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\xef\xbf\xbf\""},
	{"\"a\\\\\\\"b\"", "\"a\\\\\\\"b\""},
	{"{\"\\u0000\":1,\"\\u0000\\u0000\":2}", "{\"\\u0000\":1,\"\\u0000\\u0000\":2}"}, {"\"\\\\u0041\"", "\"\\\\u0041\""},
};

static const struct {
	const char *text;
	size_t pos;
	const char *msg;
} wrong[] = {
	{"", 0, "Expecting value"}, {" ", 1, "Expecting value"}, {"nul", 0, "Expecting value"}, {"True", 0, "Expecting value"},
	{"nullx", 4, "Extra data"}, {"NaN", 0, "Expecting value"}, {"-Infinity", 0, "Expecting value"},
	{"'a'", 0, "Expecting value"},
	{"1 2", 2, "Extra data"}, {"{}}", 2, "Extra data"}, {"1,", 1, "Extra data"}, {"\v1", 0, "Expecting value"},
	{"// c\n1", 0, "Expecting value"}, {"\xef\xbb\xbf{}", 0, "Expecting value"}, {"\xc2\xa0" "1", 0, "Expecting value"},
	/* numbers */
	{"-", 0, "Expecting value"}, {"+1", 0, "Expecting value"}, {".5", 0, "Expecting value"}, {"01", 1, "Extra data"},
	{"-01", 2, "Extra data"}, {"1.", 1, "Extra data"}, {"1.e5", 1, "Extra data"}, {"1e", 1, "Extra data"},
	{"1e+", 1, "Extra data"},
	{"0x1", 1, "Extra data"}, {"1_0", 1, "Extra data"}, {"[1.5.2]", 4, "Expecting ',' delimiter"},
	{"- 1", 0, "Expecting value"},
	{"1e309", 0, "Number out of range"}, {"[-1e400]", 1, "Number out of range"}, {"1.8e308", 0, "Number out of range"},
	{"1000e306", 0, "Number out of range"}, {"1e99999999999999999999", 0, "Number out of range"},
	/* arrays and objects */
	{"[", 1, "Expecting value"}, {"]", 0, "Expecting value"}, {"[1", 2, "Expecting ',' delimiter"},
	{"[1,", 3, "Expecting value"},
	{"[1,]", 3, "Expecting value"}, {"[,1]", 1, "Expecting value"}, {"[1 2]", 3, "Expecting ',' delimiter"},
	{"[1}", 2, "Expecting ',' delimiter"}, {"{", 1, "Expecting property name enclosed in double quotes"},
	{"{a:1}", 1, "Expecting property name enclosed in double quotes"}, {"{\"a\"}", 4, "Expecting ':' delimiter"},
	{"{\"a\" 1}", 5, "Expecting ':' delimiter"}, {"{\"a\":}", 5, "Expecting value"},
	{"{\"a\":1 ]", 7, "Expecting ',' delimiter"},
	{"{\"a\":1,}", 7, "Expecting property name enclosed in double quotes"},
	{"{,}", 1, "Expecting property name enclosed in double quotes"},
	{"{1:2}", 1, "Expecting property name enclosed in double quotes"}, {"{\"a\":1 \"b\":2}", 7, "Expecting ',' delimiter"},
	/* strings */
	{"\"", 0, "Unterminated string starting at"}, {" \"ab", 1, "Unterminated string starting at"},
	{"\"a\\\"", 0, "Unterminated string starting at"},
	{"\"a\\", 0, "Unterminated string starting at"}, {"\"a\\\\\\\"", 0, "Unterminated string starting at"},
	{"\"a\nb\"", 2, "Invalid control character at"}, {"\"\\\n\"", 2, "Invalid control character at"},
	{"{\"\t\":1}", 2, "Invalid control character at"},
	{"\"\\x41\"", 1, "Invalid \\escape"}, {"\"ab\\'\"", 3, "Invalid \\escape"}, {"\"\\U0041\"", 1, "Invalid \\escape"},
	{"\"\\\xc3\xa9\"", 1, "Invalid \\escape"}, {"\"\\u\"", 1, "Invalid \\uXXXX escape"},
	{"\"\\u12\"", 1, "Invalid \\uXXXX escape"},
	{"\"\\u12g4\"", 1, "Invalid \\uXXXX escape"}, {"\"\\u+123\"", 1, "Invalid \\uXXXX escape"},
	{"\"\\u 123\"", 1, "Invalid \\uXXXX escape"},
	{"\"\\ud800\"", 1, "Lone surrogate in \\uXXXX escape"}, {"\"a\\udc00\"", 2, "Lone surrogate in \\uXXXX escape"},
	{"\"\\ud800\\ud800\"", 1, "Lone surrogate in \\uXXXX escape"},
	{"\"\\ud800\\u0041\"", 1, "Lone surrogate in \\uXXXX escape"},
	{"\"\\ud800x\\udc00\"", 1, "Lone surrogate in \\uXXXX escape"},
	{"\"\\udbff\\ue000\"", 1, "Lone surrogate in \\uXXXX escape"},
	{"\"\\ud83d\\ude0\"", 1, "Lone surrogate in \\uXXXX escape"},
	{"\"\x80\"", 1, "Invalid UTF-8"}, {"\"a\xc3\"", 2, "Invalid UTF-8"}, {"\"\xc0\x80\"", 1, "Invalid UTF-8"},
	{"\"\xe0\x80\xaf\"", 1, "Invalid UTF-8"}, {"\"\xed\xa0\x80\"", 1, "Invalid UTF-8"},
	{"\"\xf4\x90\x80\x80\"", 1, "Invalid UTF-8"},
	{"\"\xff\"", 1, "Invalid UTF-8"}, {"{\"\xfe\":1}", 2, "Invalid UTF-8"}, {"\"\xe2\x82", 1, "Invalid UTF-8"},
};

static void
test_good(void)
{
	for (size_t i = 0; i < LEN(good); i++) {
		struct err e = {0};
		struct json_doc *d = parse(good[i].text, strlen(good[i].text), &e);
		struct buf b = {0};

		if (d)
			json_print(&b, d->root, 0);
		check(d && !strcmp(b.p, good[i].want), "%s: %s, not %s", good[i].text, d ? b.p : e.msg, good[i].want);
		check(d && survives(d->root), "%s: printed, it is something else", good[i].text);
		buf_free(&b);
		json_free(d);
	}
}

static void
test_wrong(void)
{
	for (size_t i = 0; i < LEN(wrong); i++) {
		struct err e = {0};
		struct json_doc *d = parse(wrong[i].text, strlen(wrong[i].text), &e);

		check(!d && e.code && e.pos == wrong[i].pos && !strcmp(e.msg, wrong[i].msg), "%s: %lu: %s, not %lu: %s",
		    wrong[i].text, (unsigned long)e.pos, d ? "read" : e.msg, (unsigned long)wrong[i].pos, wrong[i].msg);
		json_free(d);
		check(!json_parse(wrong[i].text, strlen(wrong[i].text), NULL), "%s: read without a struct err", wrong[i].text);
	}
	check(!json_parse("[1\0]", 4, NULL), "a zero byte is no white space");
	check(!json_parse("\"\0\"", 3, NULL), "a zero byte in a string");
	check(!json_parse(NULL, 0, NULL), "nothing at all");
}

static const char specimen[] =
    "{\"k\":[1,-2.5e+3,\"a\\n\\u00e9\\ud83d\\ude00\xc3\xa9\",null,true,false,{}],\"longer than eight\": {\"\":[ ]}}";

/* No prefix of a document in brackets is one, and the place of the fault lies in it. */
static void
test_prefixes(void)
{
	bool fine = true;

	for (size_t n = 0; n < sizeof specimen - 1; n++) {
		struct err e = {0};
		struct json_doc *d = parse(specimen, n, &e);

		fine = fine && !d && e.code && e.pos <= n;
		json_free(d);
	}
	check(fine, "a prefix is read, or refused beyond its end");
}

/* Any byte in any place: read and sound, or refused with a place. */
static void
test_bytes(void)
{
	char text[sizeof specimen];
	bool fine = true;
	int read = 0;

	for (size_t i = 0; i < sizeof specimen - 1; i++) {
		for (int c = 0; c < 256; c++) {
			struct err e = {0};
			struct json_doc *d;

			memcpy(text, specimen, sizeof text);
			text[i] = (char)c;
			d = parse(text, sizeof text - 1, &e);
			fine = fine && (d ? survives(d->root) : e.code && e.pos <= sizeof text - 1);
			read += !!d;
			json_free(d);
		}
	}
	check(fine, "a changed byte");
	check(read > 1000, "of the changed documents only %d were read", read);
}

/* A string of some plain bytes, in, and more plain bytes; out is what in becomes, NULL where it is to be refused. */
static bool
run_fine(const char *in, const char *out, int before, int behind)
{
	static const char some[] = "aZ!#[]~yaZ!#[]~yaZ!#[]~yaZ!#[]~yaZ!#";
	char *text = xprintf("[\"%.*s%s%.*s\"]", before, some, in, behind, some), *want;
	struct json_doc *d = parse(text, strlen(text), NULL);
	bool fine = !d == !out;

	if (d && out) {
		want = xprintf("%.*s%s%.*s", before, some, out, behind, some);
		fine = str_is((struct str){d->root->head->s, d->root->head->len}, want) && survives(d->root);
		free(want);
	}
	json_free(d);
	free(text);
	return fine;
}

/* A special byte at every place of strings around the width of a word. */
static void
test_runs(void)
{
	static const struct {
		const char *in, *out;
	} special[] = {
		{"x", "x"}, {" ", " "}, {"\\\"", "\""}, {"\\\\", "\\"}, {"\\u0001", "\x01"}, {"\x7f", "\x7f"},
		{"\xc3\xbf", "\xc3\xbf"},
		{"\"", NULL}, {"\x1f", NULL}, {"\x80", NULL}, {"\\", NULL},
	};

	for (size_t k = 0; k < LEN(special); k++) {
		bool fine = true;

		for (int n = 0; n < 36; n++)
			for (int at = 0; at <= n; at++)
				fine = fine && run_fine(special[k].in, special[k].out, at, n - at);
		check(fine, "%s somewhere in a string", special[k].in);
	}
}

static void
test_depth(void)
{
	static const struct {
		const char *open, *close;
	} kinds[] = {{"[", "]"}, {"{\"a\":", "}"}, {"[{\"b\":[", "]}]"}};
	static const int per[] = {1, 1, 3};

	for (size_t k = 0; k < LEN(kinds); k++) {
		for (int depth = JSON_DEPTH - 2; depth <= JSON_DEPTH + 3; depth++) {
			struct buf b = {0};
			struct err e = {0};
			struct json_doc *d;

			if (depth % per[k])
				continue;
			for (int i = 0; i < depth; i += per[k])
				buf_adds(&b, kinds[k].open);
			buf_addc(&b, '0');
			for (int i = 0; i < depth; i += per[k])
				buf_adds(&b, kinds[k].close);
			d = parse(b.p, b.len, &e);
			check(!d == (depth > JSON_DEPTH), "%s to a depth of %d: %s", kinds[k].open, depth, d ? "read" : e.msg);
			check(d ? survives(d->root) : !strcmp(e.msg, "Nested too deep"), "%s to a depth of %d: %s",
			    kinds[k].open, depth, e.msg);
			json_free(d);
			buf_free(&b);
		}
	}
}

/* Depth is that of what is open, and unfinished brackets are no way around it. */
static void
test_brackets(void)
{
	struct buf b = {0};
	struct err e = {0};
	struct json_doc *d;

	for (int i = 0; i < 2000; i++)
		buf_adds(&b, i ? ",[{}]" : "[[{}]");
	buf_addc(&b, ']');
	d = parse(b.p, b.len, &e);
	check(d && d->root->len == 2000 && survives(d->root), "many side by side: %s", e.msg);
	json_free(d);
	buf_clear(&b);
	for (int i = 0; i < 1000000; i++)
		buf_addc(&b, '[');
	check(!json_parse(b.p, b.len, &e) && e.pos == JSON_DEPTH && !strcmp(e.msg, "Nested too deep"), "a million brackets: %s",
	    e.msg);
	buf_free(&b);
}

/* ---- what is printed ---- */

static const struct {
	const char *text;
	int flags;
	const char *want;
} prints[] = {
	{"{\"a\":[1,{\"b\":null}],\"c\":{},\"d\":[]}", 0, "{\"a\":[1,{\"b\":null}],\"c\":{},\"d\":[]}"},
	{"{\"a\":[1,{\"b\":null}],\"c\":{},\"d\":[]}", JSON_SPACED, "{\"a\": [1, {\"b\": null}], \"c\": {}, \"d\": []}"},
	{"{\"a\":[1,{\"b\":null}],\"c\":{},\"d\":[]}", 2,
	    "{\n  \"a\": [\n    1,\n    {\n      \"b\": null\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}"},
	{"[1,[2]]", 1 | JSON_SPACED, "[\n 1,\n [\n  2\n ]\n]"}, {"[]", 4, "[]"}, {"{}", 4, "{}"}, {"3", 4, "3"},
	{"\"\\u00e9\\u20ac\\ud83d\\ude00\\u007f~\"", 0, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f~\""},
	{"\"\\u00e9\\u20ac\\ud83d\\ude00\\u007f~\"", JSON_ASCII, "\"\\u00e9\\u20ac\\ud83d\\ude00\\u007f~\""},
	{"\"\\u0080\\u009f\\u00a0\"", JSON_TAME, "\"\\u0080\\u009f\xc2\xa0\""},
	{"\"\\u0080\\u00a0\"", 0, "\"\xc2\x80\xc2\xa0\""},
	{"{\"\\u00e9\":\"a\\u007f\\u007fb\"}", JSON_ASCII | JSON_SPACED, "{\"\\u00e9\": \"a\\u007f\\u007fb\"}"},
	{"\"\\u0000\\u0001\\u001f\\b\\t\\n\\f\\r\\/\\\"\\\\\"", JSON_ASCII, "\"\\u0000\\u0001\\u001f\\b\\t\\n\\f\\r/\\\"\\\\\""},
};

static void
test_prints(void)
{
	static const struct {
		const char *bytes, *utf8, *ascii;
	} torn[] = {
		{"a\xff" "b", "\"a\xef\xbf\xbd" "b\"", "\"a\\ufffdb\""}, {"\xc3", "\"\xef\xbf\xbd\"", "\"\\ufffd\""},
		{"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", "\"\\ufffd\\ufffd\\ufffd\""},
		{"\xc3\xa9\xc3\"", "\"\xc3\xa9\xef\xbf\xbd\\\"\"", "\"\\u00e9\\ufffd\\\"\""}, {"", "\"\"", "\"\""},
	};

	for (size_t i = 0; i < LEN(prints); i++) {
		struct json_doc *d = parses(prints[i].text);
		struct buf b = {0};

		buf_adds(&b, ">");
		json_print(&b, d->root, prints[i].flags);
		check(!strcmp(b.p + 1, prints[i].want), "%s: %s, not %s", prints[i].text, b.p + 1, prints[i].want);
		buf_free(&b);
		json_free(d);
	}
	for (size_t i = 0; i < LEN(torn); i++) {
		struct buf b = {0};

		json_putstr(&b, str_of(torn[i].bytes), 0);
		check(!strcmp(b.p, torn[i].utf8), "bytes that are no UTF-8: %s, not %s", b.p, torn[i].utf8);
		buf_clear(&b);
		json_putstr(&b, str_of(torn[i].bytes), JSON_ASCII);
		check(!strcmp(b.p, torn[i].ascii), "bytes that are no UTF-8: %s, not %s", b.p, torn[i].ascii);
		buf_free(&b);
	}
}

/* ---- numbers ---- */

static const struct {
	double v;
	const char *want;
} reprs[] = {
	{0, "0.0"}, {-0.0, "-0.0"}, {60, "60.0"}, {-1.5, "-1.5"}, {0.1, "0.1"}, {0.30000000000000004, "0.30000000000000004"},
	{1e22, "1e+22"},
	{1e21, "1e+21"}, {1e16, "1e+16"}, {1e15, "1000000000000000.0"}, {123456789012345680.0, "1.2345678901234568e+17"},
	{9999999999999998.0, "9999999999999998.0"}, {999999999999999.9, "999999999999999.9"}, {1e-4, "0.0001"},
	{1.5e-4, "0.00015"},
	{1e-5, "1e-05"}, {1.25e-5, "1.25e-05"}, {1e100, "1e+100"}, {-1e-100, "-1e-100"}, {5e-324, "5e-324"},
	{1.5e-323, "1.5e-323"},
	{2.2250738585072014e-308, "2.2250738585072014e-308"}, {1.7976931348623157e308, "1.7976931348623157e+308"},
	{5.684341886080802e-14, "5.684341886080802e-14"}, {9007199254740992.0, "9007199254740992.0"},
	{9007199254740993.0, "9007199254740992.0"},
	{2251799813685248.5, "2251799813685248.5"}, {1700000000.123456, "1700000000.123456"}, {100, "100.0"}, {12.5, "12.5"},
	{0.001, "0.001"},
	{-123456.789, "-123456.789"}, {123e45, "1.23e+47"},
};

/* The digits of a text before its exponent, without zeros at the ends. */
static int
count_digits(const char *p)
{
	int n = 0, zeros = 0;

	for (; *p && *p != 'e'; p++) {
		if (*p < '0' || *p > '9' || (*p == '0' && !n))
			continue;
		zeros = *p == '0' ? zeros + 1 : 0;
		n++;
	}
	return n - zeros;
}

/* The text reads back as v, and none with a digit less does: neither of those around v. */
static bool
repr_fine(double v)
{
	struct buf b = {0};
	char text[40];
	int n;
	bool fine;

	json_repr(&b, v);
	fine = strtod(b.p, NULL) == v;
	n = count_digits(b.p);
	if (fine && n > 1) {
		snprintf(text, sizeof text, "%.*e", n - 2, v);
		fine = strtod(text, NULL) != v;
		round_up(text + (v < 0));
		fine = fine && strtod(text, NULL) != v;
	}
	if (!fine)
		fprintf(stderr, "json: %.17g is printed as %s\n", v, b.p);
	buf_free(&b);
	return fine;
}

static uint64_t
next_random(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

static void
test_repr(void)
{
	bool powers = true, random = true, times = true;
	struct buf odd = {0};

	for (size_t i = 0; i < LEN(reprs); i++) {
		struct buf b = {0};

		json_repr(&b, reprs[i].v);
		check(!strcmp(b.p, reprs[i].want), "%s, not %s", b.p, reprs[i].want);
		buf_free(&b);
	}
	json_repr(&odd, HUGE_VAL);
	json_repr(&odd, -HUGE_VAL);
	json_repr(&odd, strtod("nan", NULL));
	check(!strcmp(odd.p, "Infinity-InfinityNaN"), "what is no number of JSON: %s", odd.p);
	buf_free(&odd);
	for (uint64_t e = 0; e < 2047; e++) {
		for (int near = -1; near <= 1; near++) {
			uint64_t bits = (e << 52) + (uint64_t)(int64_t)near;
			double v;

			memcpy(&v, &bits, sizeof v);
			powers = powers && (e + (uint64_t)(int64_t)near > 2047 || isnan(v) || isinf(v) || repr_fine(v));
		}
	}
	check(powers, "powers of two and their neighbours");
	for (int i = 0; i < 20000; i++) {
		uint64_t bits = next_random();
		double v;

		memcpy(&v, &bits, sizeof v);
		random = random && (isnan(v) || isinf(v) || repr_fine(v));
		times = times && repr_fine((double)(bits >> 12) / 1e6);
	}
	check(random, "random doubles");
	check(times, "times in microseconds");
}

static void
test_ints(void)
{
	static const struct {
		const char *text;
		int r;
		int64_t i;
		double num;
	} rows[] = {
		{"0", 0, 0, 0}, {"-0", 0, 0, -0.0}, {"7", 0, 7, 7}, {"-12", 0, -12, -12},
		{"9223372036854775807", 0, INT64_MAX, 9223372036854775807.0},
		{"-9223372036854775808", 0, INT64_MIN, -9223372036854775808.0},
		{"9223372036854775808", -1, 0, 9223372036854775808.0}, {"-9223372036854775809", -1, 0, -9223372036854775808.0},
		{"1.0", -1, 0, 1}, {"1e0", -1, 0, 1}, {"1E2", -1, 0, 100}, {"\"1\"", -1, 0, 0}, {"true", -1, 0, 0},
		{"null", -1, 0, 0}, {"[1]", -1, 0, 0}, {"999999999999999", 0, 999999999999999, 1e15 - 1},
		{"9999999999999999", 0, 9999999999999999, 1e16}, {"0.1", -1, 0, 0.1}, {"1e-400", -1, 0, 0},
	};
	int64_t i;

	for (size_t k = 0; k < LEN(rows); k++) {
		struct json_doc *d = parses(rows[k].text);
		double num = json_num(d->root);

		i = 0;
		check(json_int(d->root, &i) == rows[k].r && i == rows[k].i, "%s as an integer", rows[k].text);
		check(num == rows[k].num && !signbit(num) == !signbit(rows[k].num), "%s as a double: %g", rows[k].text, num);
		json_free(d);
	}
	check(json_int(NULL, &i) == -1 && json_num(NULL) == 0, "no value");
}

static const struct {
	const char *a, *b;
	bool same;
} pairs[] = {
	{"1", "1", true}, {"1", "1.0", true}, {"1", "1e0", true}, {"10", "1e1", true}, {"10", "0.1e2", true}, {"0", "-0", true},
	{"0", "0.00e5", true},
	{"-0.0", "0e-9", true}, {"0", "0e999999999999", true}, {"1", "-1", false}, {"1", "2", false}, {"1", "10", false},
	{"100", "1e2", true},
	{"12", "1.2e1", true}, {"12", "12.00", true}, {"12", "0.0012e4", true}, {"12", "1200e-2", true}, {"101", "10.1e1", true},
	{"101", "1.01e2", true},
	{"11", "101", false}, {"-5", "-5.0", true}, {"-5", "5.0", false}, {"1e22", "10000000000000000000000", true},
	{"9007199254740993", "9007199254740992", false}, {"9007199254740993", "9007199254740993.0", true},
	{"9007199254740992", "9007199254740993.0", false},
	{"123456789012345678901234567890", "123456789012345678901234567891", false},
	{"123456789012345678901234567890", "12345678901234567890123456789e1", true},
	{"123456789012345678901234567890", "1.23456789012345678901234567890e29", true},
	{"0.1", "0.10", true}, {"0.1", "1e-1", true}, {"0.1", "0.10000000000000000555", true}, {"0.1", "0.2", false},
	{"1.5", "15e-1", true},
	{"1.5", "1", false}, {"0.5", "0", false}, {"1e-400", "0", false}, {"0.99999999999999999999", "1", false},
	{"1e-1", "1e1", false},
	{"1", "true", false}, {"0", "false", false}, {"null", "false", false}, {"null", "null", true}, {"true", "true", true},
	{"true", "false", false},
	{"\"\"", "null", false}, {"\"1\"", "1", false}, {"\"a\"", "\"\\u0061\"", true}, {"\"a\"", "\"A\"", false},
	{"\"a\"", "\"a\\u0000\"", false},
	{"\"\\u00e9\"", "\"e\\u0301\"", false}, {"[]", "{}", false}, {"[]", "[]", true}, {"{}", "{}", true},
	{"[1,2]", "[1.0,2]", true},
	{"[1,2]", "[2,1]", false}, {"[1]", "[1,1]", false}, {"[[]]", "[{}]", false}, {"{\"a\":1}", "{\"a\":1.0}", true},
	{"{\"a\":1}", "{\"b\":1}", false},
	{"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true}, {"{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}", false},
	{"{\"a\":1}", "{\"a\":1,\"b\":2}", false},
	{"{\"a\":{\"x\":[1],\"y\":0}}", "{\"a\":{\"y\":0,\"x\":[1]}}", true}, {"{\"a\":1,\"b\":1}", "{\"a\":1,\"c\":1}", false},
	{"{\"a\":1,\"c\":1,\"b\":2}", "{\"a\":1,\"b\":2,\"d\":1}", false},
};

static void
test_eq(void)
{
	for (size_t i = 0; i < LEN(pairs); i++) {
		struct json_doc *a = parses(pairs[i].a), *b = parses(pairs[i].b);

		check(json_eq(a->root, b->root) == pairs[i].same, "%s == %s is not %d", pairs[i].a, pairs[i].b, pairs[i].same);
		check(json_eq(b->root, a->root) == pairs[i].same, "%s == %s is not %d", pairs[i].b, pairs[i].a, pairs[i].same);
		json_free(a);
		json_free(b);
	}
}

/* ---- making and changing ---- */

static void
test_make(void)
{
	struct json_doc *d = json_new(), *other;
	struct json *o = json_mkobj(d), *a = json_mkarr(d);
	struct buf b = {0};

	check(!d->root, "a new document has no root");
	d->root = o;
	json_set(d, o, str_of("null"), json_mknull(d));
	json_set(d, o, str_of("t"), json_mkbool(d, true));
	json_set(d, o, str_of("f"), json_mkbool(d, false));
	json_set(d, o, str_of("min"), json_mkint(d, INT64_MIN));
	json_set(d, o, str_of("num"), json_mknum(d, str_of("1.500")));
	json_set(d, o, str_of("real"), json_mkdouble(d, 60));
	json_set(d, o, str_of("s"), json_mkstr(d, (struct str){"a\0b", 3}));
	json_set(d, o, (struct str){NULL, 0}, json_mkstr(d, (struct str){NULL, 0}));
	json_set(d, o, str_of("list"), a);
	json_push(a, json_mkint(d, 1));
	json_push(a, json_mkobj(d));
	json_push(a, json_copy(d, o->head));
	json_print(&b, o, 0);
	check(!strcmp(b.p, "{\"null\":null,\"t\":true,\"f\":false,\"min\":-9223372036854775808,\"num\":1.500,\"real\":60.0,"
	    "\"s\":\"a\\u0000b\",\"\":\"\",\"list\":[1,{},null]}"), "made: %s", b.p);
	check(survives(o), "what was made is read again");
	/* a copy needs nothing of the first */
	json_gets(o, "t")->tag = 5;
	other = json_new();
	other->root = json_copy(other, o);
	json_free(d);
	buf_clear(&b);
	json_print(&b, other->root, 0);
	check(b.len == 123 && sound(other->root) && json_gets(other->root, "t")->tag == 5, "copied: %s", b.p);
	check(!json_gets(other->root, "x") && !json_gets(json_gets(other->root, "list"), "x"), "what is not there");
	check(!json_gets(NULL, "x"), "in nothing");
	json_settext(other, other->root, "t", "text");
	json_settext(other, other->root, "t", NULL);
	json_sets(other, other->root, "f", json_mkint(other, 7));
	check(str_is(json_text(json_gets(other->root, "t")), "text"), "a text in place of another value, and NULL changes nothing");
	check(json_text(json_gets(other->root, "s")).n == 3, "a text with U+0000");
	check(!json_text(json_gets(other->root, "f")).p && !json_text(NULL).p, "what is no text");
	check(!strcmp(json_gettext(other->root, "t"), "text"), "a member's text");
	check(!*json_gettext(other->root, "f") && !*json_gettext(other->root, "none") && !*json_gettext(NULL, "t"), "what has none");
	buf_free(&b);
	json_free(other);
	json_free(NULL);
}

enum { NAMES = 200 };

/* Random changes to an object and, step by step, to a list of values by place. */
static void
test_changes(void)
{
	struct json_doc *d = json_new();
	struct json *o = json_mkobj(d);
	struct {
		int name;
		int64_t value;
	} model[NAMES];
	int used = 0;
	bool fine = true;

	for (int step = 0; step < 20000; step++) {
		uint64_t r = next_random();
		/* by turns it grows over the size at which it gets an index, and goes down to nothing */
		int name = (int)((r >> 32) % (step / 1000 % 3 ? NAMES : FEW + 2)), i = 0;
		bool set = step / 500 % 2 ? r % 8 == 0 : r % 8 != 0;
		char key[24];
		struct json *v;

		snprintf(key, sizeof key, "k%d", name);
		while (i < used && model[i].name != name)
			i++;
		v = json_gets(o, key);
		fine = fine && !v == (i == used);
		if (set) {
			v = json_mkint(d, step);
			json_set(d, o, str_of(key), v);
			fine = fine && json_gets(o, key) == v;
			model[i].name = name;
			model[i].value = step;
			used += i == used;
		} else {
			json_remove(o, str_of(key));
			if (i < used)
				memmove(model + i, model + i + 1, (size_t)(--used - i) * sizeof *model);
		}
		fine = fine && o->len == (size_t)used;
		i = 0;
		for (v = o->head; v && i < used; v = v->next, i++) {
			int64_t n;

			snprintf(key, sizeof key, "k%d", model[i].name);
			fine = fine && str_is(v->key, key) && !json_int(v, &n) && n == model[i].value;
		}
		fine = fine && !v && i == used && (step % 16 || sound(o));
		if (!fine)
			break;
	}
	check(fine, "an object and its model differ");
	json_free(d);
}

/* ---- size ---- */

/* The steps that all members of obj together are away from their slots. */
static size_t
strayed(const struct json *obj)
{
	const struct json_index *x = obj->index;
	size_t sum = 0;

	for (size_t i = 0; i < x->cap; i++)
		if (x->slot[i].v)
			sum += (i - x->slot[i].hash) & (x->cap - 1);
	return sum;
}

static void
key_count(struct buf *b, unsigned i)
{
	buf_printf(b, "key%u", i);
}

/* What collides where a string's hash is 31 h + c, or 33 h + c, and goes on to collide whatever stands before or behind. */
static void
key_31(struct buf *b, unsigned i)
{
	for (int k = 0; k < 17; k++)
		buf_adds(b, i >> k & 1 ? "Aa" : "BB");
}

static void
key_33(struct buf *b, unsigned i)
{
	for (int k = 0; k < 17; k++)
		buf_adds(b, i >> k & 1 ? "Ez" : "FY");
}

/* Keys that differ in one place, far from either end. */
static void
key_long(struct buf *b, unsigned i)
{
	buf_printf(b, "%030d%06x%030d", 0, i, 0);
}

static void
key_zeros(struct buf *b, unsigned i)
{
	buf_reserve(b, i);
	for (unsigned k = 0; k < i % 317; k++)
		buf_addc(b, '0');
	buf_printf(b, "x%u", i / 317);
}

static void
test_large(void)
{
	static void (*const families[])(struct buf *, unsigned) = {key_count, key_31, key_33, key_long, key_zeros};
	enum { MANY = 100000 };

	for (size_t f = 0; f < LEN(families); f++) {
		struct buf b = {0}, key = {0};
		struct json_doc *d;
		bool fine = true;
		unsigned i = 0;

		/* every key twice: the second wins, and stands where the first did */
		for (i = 0; i < 2 * MANY; i++) {
			buf_adds(&b, i ? ",\"" : "{\"");
			families[f](&b, i % MANY);
			buf_printf(&b, "\":%u", i);
		}
		buf_addc(&b, '}');
		d = json_parse(b.p, b.len, NULL);
		check(d && d->root->len == MANY, "family %d: a large object", (int)f);
		if (d) {
			i = 0;
			for (struct json *m = d->root->head; m; m = m->next, i++) {
				int64_t n;

				buf_clear(&key);
				families[f](&key, i);
				fine = fine && str_is(m->key, key.p) && json_get(d->root, m->key) == m;
				fine = fine && !json_int(m, &n) && n == MANY + i;
			}
			check(fine && i == MANY && sound(d->root), "family %d: its members", (int)f);
			check(strayed(d->root) < 3 * MANY, "family %d: %lu steps", (int)f, (unsigned long)strayed(d->root));
		}
		json_free(d);
		buf_free(&b);
		buf_free(&key);
	}
}

static size_t
chunks_of(const struct json_doc *d)
{
	size_t n = 0;

	for (const struct chunk *c = d->arena->chunk; c; c = c->next)
		n++;
	return n;
}

/* Memory is linear in the text, and texts of every length fit where they are put. */
static void
test_memory(void)
{
	struct buf b = {0};
	struct json_doc *d;
	size_t n = 0, chunks;
	bool fine = true;

	buf_addc(&b, '[');
	for (; n < 3000; n++) {
		buf_addc(&b, '"');
		for (size_t i = 0; i < n * 7 % 3001; i++)
			buf_addc(&b, (char)('a' + i % 26));
		buf_adds(&b, n % 3 ? "\"," : "\\n\",");
	}
	buf_adds(&b, "0]");
	d = json_parse(b.p, b.len, NULL);
	n = 0;
	for (struct json *v = d ? d->root->head : NULL; v && v->next; v = v->next, n++) {
		fine = fine && v->len == n * 7 % 3001 + !(n % 3) && !v->s[v->len];
		for (size_t i = 0; i < n * 7 % 3001; i++)
			fine = fine && v->s[i] == (char)('a' + i % 26);
	}
	check(d && fine && n == 3000, "texts of every length");
	chunks = d ? chunks_of(d) : 0;
	check(chunks > 10 && chunks < b.len / CHUNK_MAX * 2 + 16, "%lu chunks for %lu bytes", (unsigned long)chunks,
	    (unsigned long)b.len);
	json_free(d);
	buf_free(&b);
}

/* Chunks grow where a document does, and what escapes took too much is given back. */
static void
test_chunks(void)
{
	struct json_doc *d = json_new();
	struct buf b = {0};

	check(!chunks_of(d), "a new document is one allocation");
	d->root = json_mkarr(d);
	for (int i = 0; i < 10000; i++)
		json_push(d->root, json_mkint(d, i + 1000));
	check(chunks_of(d) > 8 && chunks_of(d) < 10000 * (sizeof(struct json) + 16) / CHUNK_MAX + 16, "%lu chunks",
	    (unsigned long)chunks_of(d));
	json_free(d);
	buf_addc(&b, '[');
	for (int i = 0; i < 1000; i++) {
		buf_adds(&b, i ? ",\"" : "\"");
		for (int k = 0; k < 500; k++)
			buf_adds(&b, "\\u0061");
		buf_addc(&b, '"');
	}
	buf_addc(&b, ']');
	d = json_parse(b.p, b.len, NULL);
	check(d && d->root->tail->len == 500 && chunks_of(d) < 1000 * 600 / CHUNK_MAX + 4, "escapes: %lu chunks",
	    (unsigned long)chunks_of(d));
	json_free(d);
	buf_free(&b);
}

/* ---- corpora ---- */

/* JSONTestSuite leaves these free; ours is whether it is read. */
static const struct {
	const char *name;
	bool read;
} free_cases[] = {
	{"i_number_double_huge_neg_exp", true}, {"i_number_huge_exp", false}, {"i_number_neg_int_huge_exp", false},
	{"i_number_pos_double_huge_exp", false}, {"i_number_real_neg_overflow", false}, {"i_number_real_pos_overflow", false},
	{"i_number_real_underflow", true}, {"i_number_too_big_neg_int", true}, {"i_number_too_big_pos_int", true},
	{"i_number_very_big_negative_int", true}, {"i_object_key_lone_2nd_surrogate", false},
	{"i_string_1st_surrogate_but_2nd_missing", false},
	{"i_string_1st_valid_surrogate_2nd_invalid", false}, {"i_string_UTF-16LE_with_BOM", false},
	{"i_string_UTF-8_invalid_sequence", false},
	{"i_string_UTF8_surrogate_U+D800", false}, {"i_string_incomplete_surrogate_and_escape_valid", false},
	{"i_string_incomplete_surrogate_pair", false}, {"i_string_incomplete_surrogates_escape_valid", false},
	{"i_string_invalid_lonely_surrogate", false}, {"i_string_invalid_surrogate", false}, {"i_string_invalid_utf-8", false},
	{"i_string_inverted_surrogates_U+1D11E", false}, {"i_string_iso_latin_1", false},
	{"i_string_lone_second_surrogate", false},
	{"i_string_lone_utf8_continuation_byte", false}, {"i_string_not_in_unicode_range", false},
	{"i_string_overlong_sequence_2_bytes", false},
	{"i_string_overlong_sequence_6_bytes", false}, {"i_string_overlong_sequence_6_bytes_null", false},
	{"i_string_truncated-utf-8", false},
	{"i_string_utf16BE_no_BOM", false}, {"i_string_utf16LE_no_BOM", false}, {"i_structure_500_nested_arrays", true},
	{"i_structure_UTF-8_BOM_empty_object", false},
};

/* Whether a file of the suite should be read: 1, 0, or -1 where we have not said. */
static int
expected(const char *name)
{
	size_t n = strlen(name) - strlen(".json");

	if (name[0] != 'i')
		return name[0] == 'y';
	for (size_t i = 0; i < LEN(free_cases); i++)
		if (str_is((struct str){name, n}, free_cases[i].name))
			return free_cases[i].read;
	return -1;
}

static void
corpus_file(const char *dir, const char *name)
{
	char *path = xprintf("%s/%s", dir, name);
	struct buf b = {0};
	struct err e = {0};
	struct json_doc *d = NULL;

	if (sys_slurp(path, 1 << 24, &b, &e) < 0) {
		check(false, "%s", e.msg);
	} else {
		buf_reserve(&b, 1);
		d = parse(b.p, b.len, &e);
		check(!!d == expected(name), "%s: %s", name, d ? "read" : e.msg);
		check(d ? survives(d->root) : e.code && e.pos <= b.len, "%s: %s", name, d ? "is another printed" : "no place");
	}
	json_free(d);
	buf_free(&b);
	free(path);
}

static void
corpus_suite(const char *corpora)
{
	char *path = xprintf("%s/json/test_parsing", corpora);
	DIR *dir = opendir(path);
	int files[128] = {0};
	struct dirent *f;

	while (dir && (f = readdir(dir))) {
		if (!f->d_name[0] || !strchr("yni", f->d_name[0]) || f->d_name[1] != '_')
			continue;
		files[(int)f->d_name[0]]++;
		corpus_file(path, f->d_name);
	}
	check(files['y'] == 95 && files['n'] == 188 && files['i'] == (int)LEN(free_cases),
	    "%s: %d to read, %d to refuse, %d free", path, files['y'], files['n'], files['i']);
	if (dir)
		closedir(dir);
	free(path);
}

/* Calls row for every line of a generated file, which ends in a newline and is at least so many. */
static void
corpus_lines(const char *corpora, const char *name, int least, bool (*row)(char *line))
{
	char *path = xprintf("%s/generated/%s", corpora, name), *p, *end;
	struct buf b = {0};
	struct err e = {0};
	int n = 0, failed = 0;

	if (sys_slurp(path, 1 << 26, &b, &e) == 0) {
		for (p = b.p; p && (end = strchr(p, '\n')); p = end + 1, n++) {
			*end = 0;
			if (*p != '#' && !row(p) && !failed++)
				fprintf(stderr, "json: %s: %s\n", path, p);
		}
	}
	check(n >= least && !failed, "%s: %d of %d lines failed %s", path, failed, n, e.msg);
	buf_free(&b);
	free(path);
}

static bool
row_repr(char *line)
{
	char *tab = strchr(line, '\t');
	uint64_t bits = strtoull(line, NULL, 16);
	struct buf b = {0};
	struct json_doc *d = tab ? parse(tab + 1, strlen(tab + 1), NULL) : NULL;
	double v, again = d ? json_num(d->root) : 0;
	bool fine;

	memcpy(&v, &bits, sizeof v);
	json_repr(&b, v);
	fine = d && !strcmp(b.p, tab + 1) && !memcmp(&v, &again, sizeof v);
	json_free(d);
	buf_free(&b);
	return fine;
}

/* A string in both forms; one with half a surrogate pair has no second, and ours not the first either. */
static bool
row_dumps(char *line)
{
	static const struct {
		const char *name;
		int flags;
	} forms[] = {{"ascii", JSON_ASCII}, {"utf8", 0}};
	struct json_doc *d = parse(line, strlen(line), NULL);
	bool fine = d && d->root->len == LEN(forms);

	for (size_t i = 0; i < LEN(forms) && fine; i++) {
		const struct json *text = json_gets(d->root, forms[i].name);
		struct json_doc *inner = text && text->s ? parse(text->s, text->len, NULL) : NULL;
		struct buf b = {0};

		if (inner)
			json_print(&b, inner->root, forms[i].flags);
		if (inner)
			fine = str_eq((struct str){b.p, b.len}, (struct str){text->s, text->len});
		else
			fine = json_gets(d->root, "utf8")->type == JSON_NULL;
		json_free(inner);
		buf_free(&b);
	}
	json_free(d);
	return fine;
}

int
main(int argc, char **argv)
{
	pages_open();
	test_good();
	test_wrong();
	test_prefixes();
	test_bytes();
	test_runs();
	test_depth();
	test_brackets();
	test_prints();
	test_repr();
	test_ints();
	test_eq();
	test_make();
	test_changes();
	test_large();
	test_memory();
	test_chunks();
	if (argc > 1) {
		corpus_suite(argv[1]);
		corpus_lines(argv[1], "float_repr.tsv", 21000, row_repr);
		corpus_lines(argv[1], "json_dumps.jsonl", 500, row_dumps);
	}
	return test_done("json");
}
