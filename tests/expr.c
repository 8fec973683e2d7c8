/* SPDX-License-Identifier: MIT */
/* expr.c: texts and their documents, as the reference translates them where it is right; texts that are refused, where and with
 * what hint; every prefix of every text. */
#include "../cli/expr.c"
#include "test.h"

static int
one_hour(int64_t seconds)
{
	(void)seconds;
	return 3600;
}

static const struct when now = {1795682068500000, one_hour};   /* 2026-11-26T08:34:28.5Z */

static const struct {
	const char *text, *doc;
} good[] = {
	{"args.lr > 0.1", "{\"args.lr\": {\"$gt\": 0.1}}"},
	{"0.1 < args.lr", "{\"args.lr\": {\"$gt\": 0.1}}"},
	{"0.1 == args.lr", "{\"args.lr\": 0.1}"},
	{"args.a >= 1", "{\"args.a\": {\"$gte\": 1}}"},
	{"1 >= args.a", "{\"args.a\": {\"$lte\": 1}}"},
	{"args.a <= -1.5", "{\"args.a\": {\"$lte\": -1.5}}"},
	{"args.a == None", "{\"args.a\": null}"},
	{"args.a == null", "{\"args.a\": null}"},
	{"args.a == True", "{\"args.a\": true}"},
	{"args.a == false", "{\"args.a\": false}"},
	{"args.a == \"x\"", "{\"args.a\": \"x\"}"},
	{"args.a == 'a' \"b\"", "{\"args.a\": \"ab\"}"},
	{"args.a == \"\"\"x\"y\"\"\"", "{\"args.a\": \"x\\\"y\"}"},
	{"args.a == r\"\\d\"", "{\"args.a\": \"\\\\d\"}"},
	{"args.a == \"\\u00e9\\x41\\n\"", "{\"args.a\": \"éA\\n\"}"},
	{"args.a == 0x10", "{\"args.a\": 16}"},
	{"args.a == 1_000", "{\"args.a\": 1000}"},
	{"args.a == .5", "{\"args.a\": 0.5}"},
	{"args.a == - 1", "{\"args.a\": -1}"},
	{"args.a == 123456789012345678901234567890", "{\"args.a\": 123456789012345678901234567890}"},
	{"args.a == [1, [2, \"x\"], -1]", "{\"args.a\": [1, [2, \"x\"], -1]}"},
	{"args.a == (1,)", "{\"args.a\": [1]}"},
	{"args.a == ()", "{\"args.a\": []}"},
	{"args.a == {\"a\": {\"b\": [1, None]}}", "{\"args.a\": {\"a\": {\"b\": [1, null]}}}"},
	{"args[\"a\"][\"b.c\"] == 1", "{\"args.a.b.c\": 1}"},
	{"args[\"a b\"][0].c == 1", "{\"args.a b.0.c\": 1}"},
	{"args . a[0x10] == 1", "{\"args.a.16\": 1}"},
	{"(args).if_ == 1", "{\"args.if_\": 1}"},
	{"args.é == 1", "{\"args.é\": 1}"},
	{"args.true == 1", "{\"args.true\": 1}"},
	{"summary.labtasker_error == None", "{\"summary.labtasker_error\": null}"},
	{"worker_name == \"w\"", "{\"worker_name\": \"w\"}"},
	{"args.a in [1, -2]", "{\"args.a\": {\"$in\": [1, -2]}}"},
	{"args.a in (1, 2)", "{\"args.a\": {\"$in\": [1, 2]}}"},
	{"args.a in []", "{\"args.a\": {\"$in\": []}}"},
	{"\"x\" in list(args.tags)", "{\"args.tags\": \"x\"}"},
	{"[1, 2] in list(args.tags)", "{\"args.tags\": [1, 2]}"},
	{"\"k\" in dict(args.d)", "{\"args.d.k\": {\"$exists\": true}}"},
	{"\"k.l\" in dict(args)", "{\"args.k.l\": {\"$exists\": true}}"},
	{"regex(args.s, \"^a.*\")", "{\"args.s\": {\"$regex\": \"^a.*\"}}"},
	{"regex(\"args.s\", \"x\",)", "{\"args.s\": {\"$regex\": \"x\"}}"},
	{"exists(args.a)", "{\"args.a\": {\"$exists\": true}}"},
	{"exists(args.a, False)", "{\"args.a\": {\"$exists\": false}}"},
	{"exists(args.a, 0)", "{\"args.a\": {\"$exists\": 0}}"},
	{"exists(\"args.a\")", "{\"args.a\": {\"$exists\": true}}"},
	{"status == \"pending\" and args.a == 1 and args.b == 2",
	    "{\"$and\": [{\"status\": \"pending\"}, {\"args.a\": 1}, {\"args.b\": 2}]}"},
	{"(status == \"x\" and args.a == 1) and args.b == 2",
	    "{\"$and\": [{\"$and\": [{\"status\": \"x\"}, {\"args.a\": 1}]}, {\"args.b\": 2}]}"},
	{"status == \"x\" or args.a == 1 and args.b == 2",
	    "{\"$or\": [{\"status\": \"x\"}, {\"$and\": [{\"args.a\": 1}, {\"args.b\": 2}]}]}"},
	{"args.a==1and(args.b==2)or(args.c==3)", "{\"$or\": [{\"$and\": [{\"args.a\": 1}, {\"args.b\": 2}]}, {\"args.c\": 3}]}"},
	{"(args.a == # why\n  1\n)", "{\"args.a\": 1}"},
	{"args.a == 1 \\\n  and args.b == 2", "{\"$and\": [{\"args.a\": 1}, {\"args.b\": 2}]}"},
	{"True", "{\"$expr\": true}"},
	{"0", "{\"$expr\": false}"},
	{"1 and args.a == 1", "{\"$and\": [{\"$expr\": true}, {\"args.a\": 1}]}"},
	{"{}", "{}"},
	{"{\"a\": True, \"b\": null}", "{\"a\": true, \"b\": null}"},
	{"{\"created_at\": {\"$gt\": date(\"2024-01-01 UTC\")}}",
	    "{\"created_at\": {\"$gt\": {\"_dt\": \"2024-01-01T00:00:00+00:00\"}}}"},
	{"{\"a\": 1} and args.b == 1", "{\"$and\": [{\"a\": 1}, {\"args.b\": 1}]}"},
	{"created_at > date(\"2024-01-01T10:00:00.5+02:00\")",
	    "{\"created_at\": {\"$gt\": {\"_dt\": \"2024-01-01T08:00:00.500000+00:00\"}}}"},
	{"date(\"2024-01-01\") <= created_at", "{\"created_at\": {\"$gte\": {\"_dt\": \"2023-12-31T23:00:00+00:00\"}}}"},
	{"created_at in [date(\"2024-01-01 10:00 UTC\")]",
	    "{\"created_at\": {\"$in\": [{\"_dt\": \"2024-01-01T10:00:00+00:00\"}]}}"},
	{"args.lr == args.wd",
	    "{\"$and\": [{\"args.lr\": {\"$exists\": true}}, {\"args.wd\": {\"$exists\": true}}, "
	    "{\"$expr\": {\"$eq\": [\"$args.lr\", \"$args.wd\"]}}]}"},
	{"args.a + 1 > args.b - args.c / 2",
	    "{\"$and\": [{\"args.a\": {\"$exists\": true}}, {\"args.b\": {\"$exists\": true}}, "
	    "{\"args.c\": {\"$exists\": true}}, {\"$expr\": {\"$gt\": [{\"$add\": [\"$args.a\", 1]}, "
	    "{\"$subtract\": [\"$args.b\", {\"$divide\": [\"$args.c\", 2]}]}]}}]}"},
	{"args.a % 2 == 0",
	    "{\"$and\": [{\"args.a\": {\"$exists\": true}}, {\"$expr\": {\"$eq\": [{\"$mod\": [\"$args.a\", 2]}, 0]}}]}"},
	{"(args.a + args.b) * 2 > 3",
	    "{\"$and\": [{\"args.a\": {\"$exists\": true}}, {\"args.b\": {\"$exists\": true}}, "
	    "{\"$expr\": {\"$gt\": [{\"$multiply\": [{\"$add\": [\"$args.a\", \"$args.b\"]}, 2]}, 3]}}]}"},
	{"args.a + args.b + 1 > 2",
	    "{\"$and\": [{\"args.a\": {\"$exists\": true}}, {\"args.b\": {\"$exists\": true}}, "
	    "{\"$expr\": {\"$gt\": [{\"$add\": [{\"$add\": [\"$args.a\", \"$args.b\"]}, 1]}, 2]}}]}"},
	{"-args.a > 1",
	    "{\"$and\": [{\"args.a\": {\"$exists\": true}}, {\"$expr\": {\"$gt\": [{\"$multiply\": [-1, \"$args.a\"]}, 1]}}]}"},
	{"-(-args.a) > -(1)",
	    "{\"$and\": [{\"args.a\": {\"$exists\": true}}, {\"$expr\": {\"$gt\": [{\"$multiply\": [-1, "
	    "{\"$multiply\": [-1, \"$args.a\"]}]}, -1]}}]}"},
	{"args.a - -1 > 2",
	    "{\"$and\": [{\"args.a\": {\"$exists\": true}}, {\"$expr\": {\"$gt\": [{\"$subtract\": [\"$args.a\", -1]}, 2]}}]}"},
	{"- args.a + 1 > 2",
	    "{\"$and\": [{\"args.a\": {\"$exists\": true}}, {\"$expr\": {\"$gt\": [{\"$add\": [{\"$multiply\": [-1, "
	    "\"$args.a\"]}, 1]}, 2]}}]}"},
	{"args.a > args.a.b",
	    "{\"$and\": [{\"args.a.b\": {\"$exists\": true}}, {\"$expr\": {\"$gt\": [\"$args.a\", \"$args.a.b\"]}}]}"},
	{"args.a.b > args.ab - args.a",
	    "{\"$and\": [{\"args.a.b\": {\"$exists\": true}}, {\"args.ab\": {\"$exists\": true}}, "
	    "{\"$expr\": {\"$gt\": [\"$args.a.b\", {\"$subtract\": [\"$args.ab\", \"$args.a\"]}]}}]}"},
	{"args.a > args.a",
	    "{\"$and\": [{\"args.a\": {\"$exists\": true}}, {\"$expr\": {\"$gt\": [\"$args.a\", \"$args.a\"]}}]}"},
	{"args.a > 1 + 1",
	    "{\"$and\": [{\"args.a\": {\"$exists\": true}}, {\"$expr\": {\"$gt\": [\"$args.a\", {\"$add\": [1, 1]}]}}]}"},
	{"2 > 1 + 1", "{\"$expr\": {\"$gt\": [2, {\"$add\": [1, 1]}]}}"},
	{"args.a + 1 == [1]",
	    "{\"$and\": [{\"args.a\": {\"$exists\": true}}, {\"$expr\": {\"$eq\": [{\"$add\": [\"$args.a\", 1]}, [1]]}}]}"},
	{"created_at > start_time + 3600",
	    "{\"$and\": [{\"created_at\": {\"$exists\": true}}, {\"start_time\": {\"$exists\": true}}, "
	    "{\"$expr\": {\"$gt\": [\"$created_at\", {\"$add\": [\"$start_time\", 3600]}]}}]}"},
	{"args.a > args.b or args.c == 1",
	    "{\"$or\": [{\"$and\": [{\"args.a\": {\"$exists\": true}}, {\"args.b\": {\"$exists\": true}}, "
	    "{\"$expr\": {\"$gt\": [\"$args.a\", \"$args.b\"]}}]}, {\"args.c\": 1}]}"},
};

static void
test_good(void)
{
	for (size_t i = 0; i < LEN(good); i++) {
		struct json_doc *d = json_new();
		struct err e = {0};
		struct json *v = expr_parse(d, str_of(good[i].text), &now, &e);
		struct buf b = {0};

		if (v)
			json_print(&b, v, JSON_SPACED);
		check(v && !strcmp(b.p, good[i].doc), "%s: %s", good[i].text, v ? b.p : e.msg);
		buf_free(&b);
		json_free(d);
	}
}

static const struct {
	const char *text;
	size_t line, col;
	const char *hint;
} bad_texts[] = {
	{"args.a != 1", 1, 8, "MongoDB form: '{\"args.a\": {\"$ne\": 1}}'"},
	{"args.a not in [1]", 1, 8, "MongoDB form: '{\"args.a\": {\"$nin\": [1]}}'"},
	{"\"x\" not in list(args.t)", 1, 5, "MongoDB form with $nin"},
	{"not args.a == 1", 1, 1, "exists(field, False), or the MongoDB form with $ne, $nin or $nor"},
	{"exists(args.a) and not exists(args.b)", 1, 20, "exists(field, False), or the MongoDB form with $ne, $nin or $nor"},
	{"args.a = 1", 1, 8, "write == to compare"},
	{"args.a === 1", 1, 8, "write =="},
	{"args.a => 1", 1, 8, "write >="},
	{"args.a =! 1", 1, 8, "write == to compare"},
	{"args.a <> 1", 1, 8, "MongoDB form with $ne"},
	{"args.a !== 1", 1, 8, "MongoDB form with $ne, $nin or $nor"},
	{"!args.a", 1, 1, "MongoDB form with $ne, $nin or $nor"},
	{"args.a && args.b", 1, 8, "write and"},
	{"args.a == 1 || args.b == 2", 1, 13, "write or"},
	{"args.a == 1; args.b == 2", 1, 12, "write and between conditions"},
	{"args.a == 1 AND args.b == 2", 1, 13, "write and"},
	{"NOT args.a", 1, 1, "MongoDB form with $ne, $nin or $nor"},
	{"args.a is None", 1, 8, "write =="},
	{"args.a ** 2 > 1", 1, 8, "** is not understood: + - * / and % are"},
	{"args.a // 2 > 1", 1, 8, "// is not understood: + - * / and % are"},
	{"args.a << 2 > 1", 1, 8, "<< is not understood: + - * / and % are"},
	{"args.a & 1 == 1", 1, 8, "write and between conditions; bits cannot be counted with"},
	{"~args.a > 1", 1, 1, "~ is not understood: + - * / and % are"},
	{"+args.a > 1", 1, 1, "a plus before a value is not understood: leave it out"},
	{"1 < args.a < 3", 1, 12, "write a < b and b < c"},
	{"args.a := 1", 1, 8, "write == to compare"},
	{"args.a == 1 if args.b else 2", 1, 13, "write and, or"},
	{"lambda: 1", 1, 1, "lambda is not understood: a filter is a condition like args."},
	{"[x for x in args.a]", 1, 2, "did you mean args.x?"},
	{"args.a == 1,", 1, 12, "write and between conditions, and [..] around a list"},
	{"args.a, args.b", 1, 7, "write and between conditions, and [..] around a list"},
	{"args.a", 1, 1, "write exists(args.a), or a comparison"},
	{"args.a and args.b", 1, 1, "write exists(args.a), or a comparison"},
	{"args.a + 1", 1, 1, "write a comparison: args.a + 1 > 2"},
	{"list(args.a)", 1, 1, "write \"x\" in list(args.a)"},
	{"\"x\"", 1, 1, "write a comparison: args.lr > 0.1"},
	{"1.5", 1, 1, "write a comparison: args.lr > 0.1"},
	{"1 == 1", 1, 1, "two values are compared: a field must stand on one side: arg"},
	{"\"args.lr\" == 0.1", 1, 1, "write args.lr without quotes"},
	{"args.a == (args.b == 1)", 1, 12, "a condition cannot be compared or counted with: it stands al"},
	{"exists(args.a) == True", 1, 1, "a condition cannot be compared or counted with: it stands al"},
	{"args.a + exists(args.b) > 1", 1, 10, "a condition cannot be compared or counted with: it stands al"},
	{"args.a - date(\"now\") > 1", 1, 10, "date() cannot be counted with: compare it with a field"},
	{"args.a + [1] > 1", 1, 10, "lists and dicts cannot be counted with"},
	{"\"$x\" == args.a + 1", 1, 1, "a text that begins with $ would be taken for a field here"},
	{"args.a == -\"x\"", 1, 12, "a minus can stand before numbers and fields only"},
	{"args.a == --None", 1, 13, "a minus can stand before numbers and fields only"},
	{"args.a in (1)", 1, 12, "right of in a list must stand: args.lr in [0.1, 0.01]"},
	{"args.a in \"abc\"", 1, 11, "right of in a list must stand: args.lr in [0.1, 0.01]"},
	{"args.a in args.b", 1, 11, "what is args.b? Write in list(args.b) for an element, in dic"},
	{"\"x\" in args.tags", 1, 8, "what is args.tags? Write in list(args.tags) for an element, "},
	{"args.b in list(args.tags)", 1, 1, "left of in list(..) a value must stand: \"x\" in list(args.tag"},
	{"\"x\" in set(args.a)", 1, 8, "set() is not understood: date, dict, exists, list and regex "},
	{"1 in dict(args.d)", 1, 1, "left of in dict(..) a text must stand: \"key\" in dict(args.mo"},
	{"\"\" in dict(args.d)", 1, 1, "this names no field: a part of it is empty"},
	{"1 in [1]", 1, 1, "left of in [..] a field must stand: args.lr in [0.1, 0.01]"},
	{"args.a == [args.b]", 1, 12, "write \"args.b\" for the text"},
	{"args.a == {1: 2}", 1, 12, "the keys of a dict must be texts"},
	{"args.a == {1, 2}", 1, 11, "sets are not understood: a dict is {\"key\": value}, a list is"},
	{"args.a == {\"a\"", 1, 11, "this { is not closed"},
	{"args.a == [1 2]", 1, 14, "a comma or ] should stand here"},
	{"len(args.a) == 1", 1, 1, "len() is not understood: date, dict, exists, list and regex "},
	{"args.a.startswith(\"x\")", 1, 18, "fields have no methods; date, dict, exists, list and regex a"},
	{"\"x\".lower() == args.a", 1, 4, "only fields have parts"},
	{"exists()", 1, 1, "exists() takes a field, and True or False: exists(args.lr), "},
	{"exists(args.a, False, 1)", 1, 23, "one argument too many"},
	{"exists(1)", 1, 8, "exists() takes a field, and True or False: exists(args.lr), "},
	{"exists(foo)", 1, 8, "did you mean args.foo?"},
	{"exists(\"foo\")", 1, 8, "did you mean args.foo?"},
	{"regex(args.s)", 1, 1, "regex() takes a field and a pattern: regex(args.model, \"^res"},
	{"regex(args.s, 1)", 1, 15, "regex() takes a field and a pattern: regex(args.model, \"^res"},
	{"created_at > date(\"bogus\")", 1, 19, "this is no time: \"2026-11-23 10:30\", \"Jul 28 11:25\", \"3 hour"},
	{"created_at > date(1)", 1, 19, "date() takes one text: date(\"2026-11-23 10:30\"), date(\"3 hou"},
	{"created_at > date()", 1, 14, "date() takes one text: date(\"2026-11-23 10:30\"), date(\"3 hou"},
	{"list(\"x\") == 1", 1, 6, "list() takes a field: \"x\" in list(args.tags)"},
	{"foo == 1", 1, 1, "did you mean args.foo?"},
	{"statu == \"x\"", 1, 1, "did you mean status?"},
	{"arg.lr == 1", 1, 1, "did you mean args?"},
	{"task_nme == \"x\"", 1, 1, "did you mean task_name?"},
	{"_id == \"x\"", 1, 1, "did you mean args._id?"},
	{"queue_name == \"w\"", 1, 1, "did you mean queue_id?"},
	{"a.b == 1", 1, 1, "did you mean args.a?"},
	{"args.if == 1", 1, 6, "write args[\"if\"]"},
	{"args.0 == 1", 1, 6, "write args[\"0\"]"},
	{"args. == 1", 1, 7, "== has nothing before it"},
	{"args.a[-1] == 1", 1, 8, "places are counted from the front: 0, 1, 2"},
	{"args.a[i] == 1", 1, 8, "did you mean args.i?"},
	{"args.a[status] == 1", 1, 8, "write [\"status\"] for the key of that name"},
	{"args.a[0:1] == 1", 1, 9, "write one place: [0]"},
	{"args.a[:1] == 1", 1, 8, "write one place: [0]"},
	{"args.a[1.5] == 1", 1, 8, "in [..] a text or a whole number must stand: [\"key\"], [0]"},
	{"args.a[True] == 1", 1, 8, "in [..] a text or a whole number must stand: [\"key\"], [0]"},
	{"args[\"\"] == 1", 1, 6, "this names no field: a part of it is empty"},
	{"args[\".x\"] == 1", 1, 6, "this names no field: a part of it is empty"},
	{"args.a[0 == 1", 1, 8, "two values are compared: a field must stand on one side: arg"},
	{"args.a ==", 1, 10, "the filter ends where a field or a value should stand"},
	{"== 1", 1, 1, "== has nothing before it"},
	{"and", 1, 1, "a field or a value should stand here"},
	{"(args.a == 1", 1, 1, "this ( is not closed"},
	{"args.a == 1)", 1, 12, "this ) closes nothing"},
	{"args.a == 1 args.b == 2", 1, 13, "and, or or the end should stand here"},
	{"args.a == 'x", 1, 11, "this text has no closing quote"},
	{"args.a == \"\\N{DASH}\"", 1, 11, "this text holds a backslash before what is no escape of a ch"},
	{"args.a == b\"x\"", 1, 11, "b before a text is not understood: leave it out"},
	{"args.a == 010", 1, 11, "this is no number: 10, 1_000, 0x10, 1.5 and 1e3 are"},
	{"args.a == 1e400", 1, 11, "this number is beyond a double"},
	{"args.a == 1j", 1, 12, "and, or or the end should stand here"},
	{"args.a == “x”", 1, 11, "write ' or \""},
	{"$a == 1", 1, 1, "MongoDB form as a dict"},
	{"args.a\n  == yes", 2, 6, "did you mean args.yes?"},
	{"", 1, 1, "write a condition: args.lr > 0.1"},
};

static void
test_bad(void)
{
	for (size_t i = 0; i < LEN(bad_texts); i++) {
		struct json_doc *d = json_new();
		struct err e = {0};
		struct json *v = expr_parse(d, str_of(bad_texts[i].text), &now, &e);

		check(!v && e.code == EXIT_USAGE && e.line == bad_texts[i].line && e.col == bad_texts[i].col &&
		    strstr(e.msg, bad_texts[i].hint),
		    "%s: %d:%d %s", bad_texts[i].text, (int)e.line, (int)e.col, e.msg);
		json_free(d);
	}
}

/* What is cut off anywhere is read or refused at a place within it, and no byte behind it is looked at. */
static void
test_prefixes(void)
{
	for (size_t i = 0; i < LEN(good) + LEN(bad_texts); i++) {
		const char *text = i < LEN(good) ? good[i].text : bad_texts[i - LEN(good)].text;

		for (size_t n = 0; n <= strlen(text); n++) {
			struct json_doc *d = json_new();
			struct err e = {0};
			char *copy = malloc(n ? n : 1);

			memcpy(copy, text, n);
			check(expr_parse(d, (struct str){copy, n}, &now, &e) || (e.code && e.pos <= n && e.line),
			    "%s, %d bytes", text, (int)n);
			free(copy);
			json_free(d);
		}
	}
}

/* Depth is bounded, whatever makes it; length is not. */
static void
test_deep(void)
{
	static const struct {
		const char *one, *last;
		int n;
		bool fits;
	} row[] = {
		{"(", "args.a == 1", 100000, false}, {"-", "args.a > 1", 100000, false}, {"[", "1", 100000, false},
		{"args.a+", "args.a > 1", 100000, false}, {"args.a+", "args.a > 1", 90, true},
		{"args.a == 1 and ", "args.a == 1", 20000, true},
		{"exists(", "args.a", 100000, false}, {"args[", "0", 100000, false},
	};

	for (size_t i = 0; i < LEN(row); i++) {
		struct json_doc *d = json_new();
		struct buf b = {0};
		struct err e = {0};

		for (int n = 0; n < row[i].n; n++)
			buf_adds(&b, row[i].one);
		buf_adds(&b, row[i].last);
		check(!!expr_parse(d, (struct str){b.p, b.len}, &now, &e) == row[i].fits, "%d times %s: %s", row[i].n,
		    row[i].one, e.msg);
		buf_free(&b);
		json_free(d);
	}
}

int
main(void)
{
	test_good();
	test_bad();
	test_prefixes();
	test_deep();
	return test_done("expr");
}
