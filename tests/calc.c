/* SPDX-License-Identifier: MIT */
/* calc.c: expressions on a document, row by row; what is refused; numbers at their ends; times. */
#include "../server/calc.c"
#include "parse.h"
#include "test.h"

#include <math.h>

static const struct json *
get(void *doc, struct str name)
{
	static struct json time;

	if (!str_is(name, "made"))
		return json_get(doc, name);
	time = (struct json){.type = JSON_STR, .tag = TOML_DATETIME, .s = "2026-11-23T23:20:49.206500Z", .len = 27};
	return &time;
}

enum { ODD = -1, REFUSED = -2 };

static int
ask(const char *text, struct json *doc, struct err *e)
{
	struct json_doc *d = parse(text);
	size_t room = 1000;
	uint64_t left = 100000;
	struct calc *c = calc_new(d->root, &room, e);
	int is = c ? calc_test(c, get, doc, &left) : REFUSED;

	calc_free(c);
	json_free(d);
	return is;
}

static const char doc[] = "{\"i\":7,\"j\":-3,\"d\":2.5,\"s\":\"x\",\"t\":true,\"f\":false,\"n\":null,\"z\":0,\"max\":9223372036854775807,"
    "\"min\":-9223372036854775808,\"big\":123456789012345678901234567890,\"o\":{\"a\":{\"b\":5}},\"l\":[1,2],"
    "\"m\":[{\"a\":1},5,{\"a\":{\"b\":2}},{},[{\"a\":3}]],\"e\":[]}";

static const struct {
	const char *expr;
	int want;
} rows[] = {
	/* constants and fields */
	{"true", 1}, {"false", 0}, {"null", 0}, {"0", 0}, {"-0.0", 0}, {"1", 1}, {"\"\"", 1}, {"\"x\"", 1}, {"[]", 1}, {"{}", 1},
	{"\"$i\"", 1}, {"\"$z\"", 0}, {"\"$t\"", 1}, {"\"$f\"", 0}, {"\"$n\"", 0}, {"\"$none\"", 0}, {"\"$e\"", 1}, {"\"$o.a.b\"", 1},
	{"\"$o.a.c\"", 0}, {"\"$i.a\"", 0}, {"\"$n.a\"", 0}, {"\"$made\"", 1},
	{"{\"$eq\":[\"$o.a.b\",5]}", 1}, {"{\"$eq\":[\"$o\",{\"a\":{\"b\":5}}]}", 1}, {"{\"$eq\":[\"$l\",[1,2]]}", 1},
	{"{\"$eq\":[\"$l\",[1,3]]}", 0}, {"{\"$eq\":[\"$s\",\"x\"]}", 1}, {"{\"$eq\":[\"$i\",7.0]}", 1},
	/* through lists */
	{"{\"$eq\":[\"$m.a\",[1,{\"b\":2}]]}", 1}, {"{\"$eq\":[\"$m.a.b\",[2]]}", 1}, {"{\"$eq\":[\"$l.0\",1]}", 0}, {"{\"$eq\":[\"$l.0\",[]]}", 1},
	{"{\"$eq\":[\"$e.a\",[]]}", 1}, {"{\"$eq\":[\"$m.a\",\"$m.a\"]}", 1}, {"{\"$eq\":[{\"$gt\":[\"$m.a\",1]},{\"$gt\":[\"$m.a\",2]}]}", 1},
	{"{\"$and\":[\"$m.a\",\"$m.a\",{\"$ne\":[\"$m.a\",\"$l\"]}]}", 1},
	/* comparisons, between all kinds */
	{"{\"$ne\":[\"$i\",7]}", 0}, {"{\"$gt\":[\"$i\",\"$d\"]}", 1}, {"{\"$gte\":[\"$i\",7]}", 1}, {"{\"$lt\":[\"$j\",0]}", 1}, {"{\"$lte\":[\"$i\",6]}", 0},
	{"{\"$gt\":[\"$s\",\"$i\"]}", 1}, {"{\"$lt\":[\"$n\",\"$i\"]}", 1}, {"{\"$lt\":[\"$none\",\"$n\"]}", 1}, {"{\"$eq\":[\"$none\",\"$n\"]}", 0},
	{"{\"$eq\":[\"$none\",\"$gone\"]}", 1}, {"{\"$gt\":[\"$t\",\"$l\"]}", 1}, {"{\"$gt\":[\"$l\",\"$o\"]}", 1}, {"{\"$lt\":[\"$f\",\"$t\"]}", 1},
	{"{\"$gt\":[\"$made\",\"$t\"]}", 1}, {"{\"$eq\":[{\"$gt\":[1,0]},true]}", 1}, {"{\"$gt\":[\"$big\",\"$max\"]}", 1},
	{"{\"$eq\":[\"$big\",123456789012345678901234567890]}", 1}, {"{\"$eq\":[\"$big\",123456789012345678901234567891]}", 0},
	/* arithmetic */
	{"{\"$eq\":[{\"$add\":[\"$i\",\"$j\",1]},5]}", 1}, {"{\"$eq\":[{\"$add\":[\"$i\",\"$d\"]},9.5]}", 1}, {"{\"$eq\":[{\"$add\":[]},0]}", 1},
	{"{\"$eq\":[{\"$add\":\"$i\"},7]}", 1}, {"{\"$eq\":[{\"$subtract\":[\"$i\",\"$j\"]},10]}", 1}, {"{\"$eq\":[{\"$multiply\":[\"$i\",\"$j\",2]},-42]}", 1},
	{"{\"$eq\":[{\"$multiply\":[]},1]}", 1}, {"{\"$eq\":[{\"$divide\":[\"$i\",2]},3.5]}", 1}, {"{\"$eq\":[{\"$divide\":[6,2]},3]}", 1},
	{"{\"$eq\":[{\"$mod\":[\"$i\",3]},1]}", 1}, {"{\"$eq\":[{\"$mod\":[-7,3]},-1]}", 1}, {"{\"$eq\":[{\"$mod\":[7,-3]},1]}", 1},
	{"{\"$eq\":[{\"$mod\":[7.5,2]},1.5]}", 1}, {"{\"$eq\":[{\"$mod\":[-7.5,2]},-1.5]}", 1}, {"{\"$eq\":[{\"$mod\":[\"$min\",-1]},0]}", 1},
	{"{\"$gt\":[{\"$add\":[{\"$multiply\":[\"$i\",2]},1]},{\"$subtract\":[20,{\"$mod\":[\"$i\",4]}]}]}", 0},
	/* the ends of 64 bits */
	{"{\"$eq\":[{\"$add\":[\"$max\",-1]},9223372036854775806]}", 1}, {"{\"$eq\":[{\"$add\":[\"$max\",1]},9223372036854775808]}", 1},
	{"{\"$eq\":[{\"$subtract\":[\"$min\",1]},-9223372036854775808.0]}", 1}, {"{\"$eq\":[{\"$subtract\":[0,\"$min\"]},9223372036854775808]}", 1},
	{"{\"$eq\":[{\"$subtract\":[-1,\"$min\"]},\"$max\"]}", 1}, {"{\"$eq\":[{\"$multiply\":[\"$max\",-1]},-9223372036854775807]}", 1},
	{"{\"$eq\":[{\"$multiply\":[\"$min\",-1]},9223372036854775808]}", 1}, {"{\"$eq\":[{\"$multiply\":[-1,\"$min\"]},9223372036854775808]}", 1},
	{"{\"$eq\":[{\"$multiply\":[3037000500,3037000500]},9223372037000249344]}", 1}, {"{\"$eq\":[{\"$multiply\":[\"$min\",1]},\"$min\"]}", 1},
	{"{\"$eq\":[{\"$multiply\":[\"$min\",0]},0]}", 1}, {"{\"$eq\":[{\"$multiply\":[0,\"$min\"]},0]}", 1},
	{"{\"$eq\":[{\"$multiply\":[4611686018427387904,-2]},\"$min\"]}", 1}, {"{\"$eq\":[{\"$multiply\":[-2,4611686018427387904]},\"$min\"]}", 1},
	{"{\"$gt\":[{\"$multiply\":[1e308,10]},\"$big\"]}", 1}, {"{\"$lt\":[{\"$multiply\":[1e308,-10]},\"$big\"]}", 1},
	{"{\"$lt\":[{\"$subtract\":[{\"$multiply\":[1e308,10]},{\"$multiply\":[1e308,10]}]},\"$min\"]}", 1},   /* no number */
	{"{\"$lt\":[{\"$mod\":[{\"$multiply\":[1e308,10]},3]},-1e308]}", 1}, {"{\"$eq\":[{\"$mod\":[5.5,{\"$multiply\":[1e308,10]}]},5.5]}", 1},
	{"{\"$gt\":[\"$big\",{\"$subtract\":[{\"$multiply\":[1e308,10]},{\"$multiply\":[1e308,10]}]}]}", 1},
	/* null */
	{"{\"$eq\":[{\"$add\":[\"$n\",1]},null]}", 1}, {"{\"$eq\":[{\"$add\":[\"$none\",1]},null]}", 1}, {"{\"$eq\":[{\"$multiply\":[1,\"$n\"]},null]}", 1},
	{"{\"$eq\":[{\"$subtract\":[1,\"$n\"]},null]}", 1}, {"{\"$eq\":[{\"$divide\":[\"$n\",0]},null]}", 1}, {"{\"$eq\":[{\"$mod\":[\"$n\",1]},null]}", 1},
	{"{\"$lt\":[{\"$add\":[\"$none\",1]},-5]}", 1},
	/* logic */
	{"{\"$and\":[]}", 1}, {"{\"$or\":[]}", 0}, {"{\"$and\":[\"$i\",\"$t\"]}", 1}, {"{\"$and\":[\"$i\",\"$f\"]}", 0}, {"{\"$or\":[\"$f\",\"$z\"]}", 0},
	{"{\"$or\":[\"$f\",\"$s\"]}", 1}, {"{\"$not\":[\"$f\"]}", 1}, {"{\"$not\":\"$i\"}", 0}, {"{\"$not\":[{\"$not\":[\"$none\"]}]}", 0}, {"{\"$and\":\"$i\"}", 1},
	/* times */
	{"{\"$eq\":[\"$made\",{\"_dt\":\"2026-11-23T23:20:49.2065Z\"}]}", 1}, {"{\"$gt\":[\"$made\",{\"_dt\":\"2026-11-23T23:20:49.2065Z\"}]}", 0},
	{"{\"$eq\":[{\"$add\":[\"$made\",1500]},{\"_dt\":\"2026-11-23T23:20:50.7065Z\"}]}", 1},
	{"{\"$eq\":[{\"$add\":[-500.5,\"$made\"]},{\"_dt\":\"2026-11-23T23:20:48.706Z\"}]}", 1},
	{"{\"$eq\":[{\"$subtract\":[\"$made\",206.5]},{\"_dt\":\"2026-11-23T23:20:49Z\"}]}", 1},
	{"{\"$eq\":[{\"$subtract\":[\"$made\",{\"_dt\":\"2026-11-23T23:20:00Z\"}]},49206]}", 1},
	{"{\"$eq\":[{\"$subtract\":[{\"_dt\":\"1969-12-31T23:59:59.9995Z\"},{\"_dt\":\"1970-01-01T00:00:00Z\"}]},-1]}", 1},
	/* what cannot be reckoned, and is not asked */
	{"{\"$add\":[\"$s\",1]}", ODD}, {"{\"$add\":[\"$made\",\"$made\"]}", ODD}, {"{\"$multiply\":[\"$l\",1]}", ODD}, {"{\"$subtract\":[\"$t\",1]}", ODD},
	{"{\"$subtract\":[1,\"$made\"]}", ODD}, {"{\"$divide\":[1,0]}", ODD}, {"{\"$divide\":[1,0.0]}", ODD}, {"{\"$mod\":[1,0]}", ODD},
	{"{\"$mod\":[\"$s\",2]}", ODD}, {"{\"$not\":[{\"$add\":[\"$s\",1]}]}", ODD}, {"{\"$eq\":[1,{\"$divide\":[\"$s\",1]}]}", ODD},
	{"{\"$add\":[\"$made\",1e300]}", ODD}, {"{\"$add\":[\"$made\",1e17]}", ODD}, {"{\"$or\":[true,{\"$divide\":[1,0]}]}", 1},
	{"{\"$and\":[false,{\"$divide\":[1,0]}]}", 0}, {"{\"$or\":[false,{\"$divide\":[1,0]}]}", ODD}, {"{\"$add\":[\"$n\",\"$s\"]}", 0},
	/* refused */
	{"{\"$foo\":[1]}", REFUSED}, {"{\"$eq\":[1]}", REFUSED}, {"{\"$eq\":[1,2,3]}", REFUSED}, {"{\"$eq\":1}", REFUSED}, {"{\"$not\":[]}", REFUSED},
	{"{\"$not\":[1,2]}", REFUSED}, {"{\"$add\":[1],\"$mod\":[1,2]}", REFUSED}, {"{\"$and\":[{\"$function\":{\"body\":\"x\"}}]}", REFUSED},
	{"\"$\"", REFUSED}, {"\"$a.\"", REFUSED}, {"\"$.a\"", REFUSED}, {"\"$a..b\"", REFUSED}, {"\"$$ROOT\"", REFUSED},
	{"{\"$eq\":[[\"$i\"],1]}", REFUSED}, {"{\"$eq\":[{\"a\":\"$i\"},1]}", REFUSED}, {"{\"$eq\":[{\"a\":[{\"$add\":[1]}]},1]}", REFUSED},
};

static void
test_rows(void)
{
	struct json_doc *d = parse(doc);

	for (size_t i = 0; i < LEN(rows); i++) {
		struct err e = {0};
		int is = ask(rows[i].expr, d->root, &e);

		check(is == rows[i].want && e.code == (is == REFUSED ? 400 : 0), "%s: %d, %s", rows[i].expr, is, e.msg);
	}
	json_free(d);
}

static void
test_names(void)
{
	static const char *const row[][2] = {
		{"{\"$foo\":[1]}", "$foo"}, {"{\"$and\":[{\"$eq\":[1,{\"$abs\":1}]}]}", "$abs"}, {"{\"$mod\":[1]}", "$mod"}, {"\"$$NOW\"", "$$NOW"},
	};

	for (size_t i = 0; i < LEN(row); i++) {
		struct err e = {0};

		check(ask(row[i][0], NULL, &e) == REFUSED && strstr(e.msg, row[i][1]), "%s: %s", row[i][0], e.msg);
	}
}

/* Against the mathematical library, which the program itself does without. */
static void
test_remainder(void)
{
	static const double v[] = {0, 1, 3, 0.1, 2.5, 1e15, 1e16 + 2, 1e300, 1.7976931348623157e308, 5e-324, 3e-310, 2.2250738585072014e-308, 7.25};

	for (size_t i = 0; i < LEN(v); i++)
		for (size_t k = 1; k < LEN(v); k++)
			for (int sign = 0; sign < 4; sign++) {
				double x = sign & 1 ? -v[i] : v[i], y = sign & 2 ? -v[k] : v[k];

				check(remainder_of(x, y) == fmod(x, y), "%g by %g: %g, not %g", x, y, remainder_of(x, y), fmod(x, y));
			}
}

/* More terms than there is room for, and more steps. */
static void
test_bounds(void)
{
	struct json_doc *e = parse("{\"$and\":[1,1,1,1,1,1,1,1,1,1]}"), *d = parse(doc);
	struct err err = {0};
	size_t room = 10;
	uint64_t left = 110;
	struct calc *c = calc_new(e->root, &room, &err);

	check(!c && err.code == 400, "eleven terms where there is room for ten");
	room = 12;
	c = calc_new(e->root, &room, &err);
	check(c && room == 1, "room for one more: %d", (int)room);
	check(calc_test(c, get, d->root, &left) == ODD && !left, "eleven terms for less than they cost");
	left = 112;
	check(calc_test(c, get, d->root, &left) == 1 && left == 1, "for that");
	calc_free(c);
	json_free(e);
	json_free(d);
}

int
main(void)
{
	test_rows();
	test_names();
	test_remainder();
	test_bounds();
	return test_done("calc");
}
