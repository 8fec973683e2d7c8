/* SPDX-License-Identifier: MIT */
/*
 * match.c: filters on documents, row by row; what is refused; the order of values; sort keys.  With argument 1, the pairs of
 * ARG/filters.
 */
#include "../server/match.c"
#include "parse.h"
#include "test.h"

#include <time.h>

static const struct json *
get(void *doc, struct str name)
{
	return json_get(doc, name);
}

/* 1 it matches, 0 not, -1 refused. */
static int
ask(const struct json *filter, struct json *doc, struct err *e)
{
	struct match *m = match_new(filter, e);
	int is;

	if (!m)
		return -1;
	is = match_test(m, get, doc);
	match_free(m);
	return is;
}

static const struct {
	const char *filter, *doc;
	int want;
} rows[] = {
	/* equality */
	{"{}", "{}", 1},
	{"{\"a\":1}", "{\"a\":1}", 1},
	{"{\"a\":1}", "{\"a\":1.0}", 1},
	{"{\"a\":100}", "{\"a\":1e2}", 1},
	{"{\"a\":1}", "{\"a\":2}", 0},
	{"{\"a\":1}", "{\"a\":true}", 0},
	{"{\"a\":true}", "{\"a\":true}", 1},
	{"{\"a\":true}", "{\"a\":1}", 0},
	{"{\"a\":1}", "{\"a\":\"1\"}", 0},
	{"{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":3}", 0},
	{"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", 1},
	{"{\"a\":\"x\\u0000y\"}", "{\"a\":\"x\\u0000y\"}", 1},
	{"{\"a\":\"x\\u0000y\"}", "{\"a\":\"x\\u0000z\"}", 0},
	{"{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}", 1},
	{"{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1,\"c\":1}}", 0},
	{"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":2,\"b\":1}}", 0},
	{"{\"a\":{}}", "{\"a\":{}}", 1},
	{"{\"a\":{}}", "{\"a\":{\"b\":1}}", 0},
	{"{\"a\":9007199254740993}", "{\"a\":9007199254740993}", 1},
	{"{\"a\":9007199254740993}", "{\"a\":9007199254740992}", 0},
	{"{\"a\":9007199254740992}", "{\"a\":9007199254740992.0}", 1},
	{"{\"a\":9007199254740993}", "{\"a\":9007199254740992.0}", 0},
	{"{\"a\":-0.0}", "{\"a\":0}", 1},
	{"{\"a\":123456789012345678901234567890}", "{\"a\":123456789012345678901234567891}", 0},
	{"{\"a\":123456789012345678901234567890}", "{\"a\":[123456789012345678901234567890]}", 1},
	/* null and what is missing */
	{"{\"a\":null}", "{}", 1},
	{"{\"a\":null}", "{\"a\":null}", 1},
	{"{\"a\":null}", "{\"a\":0}", 0},
	{"{\"a\":null}", "{\"a\":[]}", 0},
	{"{\"a\":null}", "{\"a\":[null]}", 1},
	{"{\"a\":{\"$ne\":null}}", "{}", 0},
	{"{\"a\":{\"$ne\":null}}", "{\"a\":false}", 1},
	{"{\"a\":{\"$ne\":1}}", "{}", 1},
	{"{\"a.b\":null}", "{\"a\":1}", 1},
	{"{\"a.b\":null}", "{\"a\":{\"c\":1}}", 1},
	{"{\"a.b\":null}", "{\"a\":[{\"c\":1}]}", 1},
	{"{\"a.b\":null}", "{\"a\":[{\"b\":1}]}", 0},
	{"{\"a.b\":null}", "{\"a\":[{\"b\":1},{}]}", 1},
	{"{\"a\":{\"$gte\":null}}", "{}", 1},
	{"{\"a\":{\"$lte\":null}}", "{\"a\":null}", 1},
	{"{\"a\":{\"$gt\":null}}", "{\"a\":1}", 0},
	{"{\"a\":{\"$lt\":null}}", "{}", 0},
	{"{\"a\":{\"$in\":[null,1]}}", "{}", 1},
	{"{\"a\":{\"$nin\":[null,1]}}", "{}", 0},
	{"{\"a\":{\"$nin\":[1]}}", "{}", 1},
	/* arrays */
	{"{\"a\":1}", "{\"a\":[3,1]}", 1},
	{"{\"a\":1}", "{\"a\":[[1]]}", 0},
	{"{\"a\":[1,2]}", "{\"a\":[1,2]}", 1},
	{"{\"a\":[1,2]}", "{\"a\":[2,1]}", 0},
	{"{\"a\":[1,2]}", "{\"a\":[1,2,3]}", 0},
	{"{\"a\":[1,2]}", "{\"a\":[0,[1,2]]}", 1},
	{"{\"a\":[]}", "{\"a\":[]}", 1},
	{"{\"a\":[]}", "{\"a\":[[]]}", 1},
	{"{\"a\":{\"$ne\":1}}", "{\"a\":[2,1]}", 0},
	{"{\"a\":{\"$gt\":2}}", "{\"a\":[1,3]}", 1},
	{"{\"a\":{\"$gt\":2,\"$lt\":3}}", "{\"a\":[1,4]}", 1},
	{"{\"a\":{\"$gt\":[1]}}", "{\"a\":[2]}", 1},
	{"{\"a\":{\"$gt\":[1]}}", "{\"a\":[1]}", 0},
	{"{\"a\":{\"$gte\":[1]}}", "{\"a\":[1,0]}", 1},
	/* paths */
	{"{\"a.b\":1}", "{\"a\":{\"b\":1}}", 1},
	{"{\"a.b\":1}", "{\"a.b\":1}", 0},
	{"{\"a.b\":1}", "{\"a\":[{\"b\":2},{\"b\":1}]}", 1},
	{"{\"a.b\":1}", "{\"a\":[[{\"b\":1}]]}", 0},
	{"{\"a.b.c\":1}", "{\"a\":[{\"b\":[{\"c\":0},{\"c\":[1]}]}]}", 1},
	{"{\"a.1\":1}", "{\"a\":[0,1]}", 1},
	{"{\"a.0\":1}", "{\"a\":[0,1]}", 0},
	{"{\"a.2\":1}", "{\"a\":[0,1]}", 0},
	{"{\"a.01\":1}", "{\"a\":[0,1]}", 0},
	{"{\"a.-1\":1}", "{\"a\":[0,1]}", 0},
	{"{\"a.99999999999999999999\":1}", "{\"a\":[0,1]}", 0},
	{"{\"a.0.b\":1}", "{\"a\":[{\"b\":1},{\"b\":2}]}", 1},
	{"{\"a.0.b\":2}", "{\"a\":[{\"b\":1},{\"b\":2}]}", 0},
	{"{\"a.0\":1}", "{\"a\":{\"0\":1}}", 1},
	{"{\"a.0\":1}", "{\"a\":[{\"0\":1}]}", 1},
	{"{\"a.0.1\":2}", "{\"a\":[[1,2]]}", 1},
	{"{\"a.0\":1}", "{\"a\":[[1,2]]}", 0},
	{"{\"a.0\":[1,2]}", "{\"a\":[[1,2]]}", 1},
	{"{\"a.0.b\":null}", "{\"a\":[5]}", 0},
	{"{\"a.0.b\":null}", "{\"a\":[{}]}", 1},
	{"{\"a..b\":1}", "{\"a\":{\"\":{\"b\":1}}}", 1},
	/* comparisons hold within a kind */
	{"{\"a\":{\"$gt\":1}}", "{\"a\":1.5}", 1},
	{"{\"a\":{\"$gt\":1}}", "{\"a\":1}", 0},
	{"{\"a\":{\"$gte\":1}}", "{\"a\":1.0}", 1},
	{"{\"a\":{\"$lt\":1}}", "{\"a\":-1e300}", 1},
	{"{\"a\":{\"$lt\":9223372036854775807}}", "{\"a\":9223372036854775806}", 1},
	{"{\"a\":{\"$lt\":9223372036854775807}}", "{\"a\":9223372036854775808}", 0},
	{"{\"a\":{\"$gt\":-9223372036854775808}}", "{\"a\":-1e19}", 0},
	{"{\"a\":{\"$gt\":1}}", "{\"a\":\"2\"}", 0},
	{"{\"a\":{\"$lt\":1}}", "{\"a\":null}", 0},
	{"{\"a\":{\"$lt\":1}}", "{}", 0},
	{"{\"a\":{\"$gt\":\"a\"}}", "{\"a\":\"b\"}", 1},
	{"{\"a\":{\"$gt\":\"a\"}}", "{\"a\":\"aa\"}", 1},
	{"{\"a\":{\"$gt\":\"a\"}}", "{\"a\":\"B\"}", 0},
	{"{\"a\":{\"$lt\":\"b\"}}", "{\"a\":\"\\u00e9\"}", 0},
	{"{\"a\":{\"$gt\":false}}", "{\"a\":true}", 1},
	{"{\"a\":{\"$gt\":false}}", "{\"a\":1}", 0},
	{"{\"a\":{\"$gt\":{\"b\":1}}}", "{\"a\":{\"b\":2}}", 1},
	{"{\"a\":{\"$gt\":{\"b\":1}}}", "{\"a\":{\"b\":1,\"c\":0}}", 1},
	{"{\"a\":{\"$gte\":1,\"$lte\":5}}", "{\"a\":6}", 0},
	{"{\"a\":{\"$gt\":{\"$size\":1}}}", "{\"a\":1}", -1},
	/* lists */
	{"{\"a\":{\"$in\":[3,\"x\",1]}}", "{\"a\":\"x\"}", 1},
	{"{\"a\":{\"$in\":[3,\"x\",1]}}", "{\"a\":3.0}", 1},
	{"{\"a\":{\"$in\":[3,\"x\",1]}}", "{\"a\":2}", 0},
	{"{\"a\":{\"$in\":[3,\"x\",1]}}", "{\"a\":[0,1]}", 1},
	{"{\"a\":{\"$in\":[[1],2]}}", "{\"a\":[1]}", 1},
	{"{\"a\":{\"$in\":[]}}", "{\"a\":1}", 0},
	{"{\"a\":{\"$nin\":[]}}", "{\"a\":1}", 1},
	{"{\"a\":{\"$nin\":[1]}}", "{\"a\":[1,2]}", 0},
	{"{\"a\":{\"$in\":1}}", "{}", -1},
	{"{\"a\":{\"$nin\":{}}}", "{}", -1},
	{"{\"a\":{\"$in\":[{\"$gt\":1}]}}", "{}", -1},
	{"{\"a\":{\"$all\":[1,2]}}", "{\"a\":[3,2,1]}", 1},
	{"{\"a\":{\"$all\":[1,2]}}", "{\"a\":[1]}", 0},
	{"{\"a\":{\"$all\":[1]}}", "{\"a\":1}", 1},
	{"{\"a\":{\"$all\":[]}}", "{\"a\":[]}", 0},
	{"{\"a\":{\"$all\":[[1,2]]}}", "{\"a\":[1,2]}", 1},
	{"{\"a\":{\"$all\":1}}", "{\"a\":1}", -1},
	{"{\"a\":{\"$all\":{\"b\":1}}}", "{}", -1},
	{"{\"a\":{\"$all\":[{\"$elemMatch\":{\"b\":1}},{\"$elemMatch\":{\"c\":1}}]}}", "{\"a\":[{\"b\":1},{\"c\":1}]}", 1},
	{"{\"a\":{\"$all\":[{\"$elemMatch\":{\"b\":1}},{\"$elemMatch\":{\"c\":1}}]}}", "{\"a\":[{\"b\":1}]}", 0},
	{"{\"a\":{\"$all\":[{\"$elemMatch\":{\"b\":1}},1]}}", "{}", -1},
	{"{\"a\":{\"$all\":[1,{\"$elemMatch\":{\"b\":1}}]}}", "{}", -1},
	{"{\"a\":{\"$all\":[{\"$gt\":1}]}}", "{}", -1},
	/* $exists, $type, $size, $mod */
	{"{\"a\":{\"$exists\":true}}", "{\"a\":null}", 1},
	{"{\"a\":{\"$exists\":true}}", "{\"a\":[]}", 1},
	{"{\"a\":{\"$exists\":true}}", "{}", 0},
	{"{\"a\":{\"$exists\":false}}", "{}", 1},
	{"{\"a\":{\"$exists\":0}}", "{\"a\":1}", 0},
	{"{\"a\":{\"$exists\":null}}", "{}", 1},
	{"{\"a\":{\"$exists\":\"\"}}", "{\"a\":1}", 1},
	{"{\"a.b\":{\"$exists\":true}}", "{\"a\":[1,{\"b\":null}]}", 1},
	{"{\"a.b\":{\"$exists\":false}}", "{\"a\":[1]}", 1},
	{"{\"a\":{\"$type\":\"string\"}}", "{\"a\":\"\"}", 1},
	{"{\"a\":{\"$type\":2}}", "{\"a\":1}", 0},
	{"{\"a\":{\"$type\":\"int\"}}", "{\"a\":1}", 1},
	{"{\"a\":{\"$type\":16}}", "{\"a\":2147483648}", 0},
	{"{\"a\":{\"$type\":\"long\"}}", "{\"a\":2147483648}", 1},
	{"{\"a\":{\"$type\":1}}", "{\"a\":1.0}", 1},
	{"{\"a\":{\"$type\":\"number\"}}", "{\"a\":5}", 1},
	{"{\"a\":{\"$type\":\"null\"}}", "{\"a\":null}", 1},
	{"{\"a\":{\"$type\":\"null\"}}", "{}", 0},
	{"{\"a\":{\"$type\":\"array\"}}", "{\"a\":[]}", 1},
	{"{\"a\":{\"$type\":\"array\"}}", "{\"a\":1}", 0},
	{"{\"a\":{\"$type\":\"object\"}}", "{\"a\":[{}]}", 1},
	{"{\"a\":{\"$type\":[\"bool\",2]}}", "{\"a\":false}", 1},
	{"{\"a\":{\"$type\":\"date\"}}", "{\"a\":\"2026-01-01T00:00:00.000000Z\"}", 0},
	{"{\"a\":{\"$type\":-1}}", "{\"a\":1}", 0},
	{"{\"a\":{\"$type\":\"nonsense\"}}", "{}", -1},
	{"{\"a\":{\"$type\":0}}", "{}", -1},
	{"{\"a\":{\"$type\":1.5}}", "{}", -1},
	{"{\"a\":{\"$type\":null}}", "{}", -1},
	{"{\"a\":{\"$type\":[]}}", "{}", -1},
	{"{\"a\":{\"$size\":2}}", "{\"a\":[1,[2]]}", 1},
	{"{\"a\":{\"$size\":0}}", "{\"a\":[]}", 1},
	{"{\"a\":{\"$size\":1}}", "{\"a\":[[1,2]]}", 1},
	{"{\"a\":{\"$size\":2}}", "{\"a\":[[1,2]]}", 0},
	{"{\"a\":{\"$size\":2.0}}", "{\"a\":[1,2]}", 1},
	{"{\"a\":{\"$size\":1}}", "{\"a\":{\"b\":1}}", 0},
	{"{\"a\":{\"$size\":0}}", "{}", 0},
	{"{\"a\":{\"$size\":-1}}", "{}", -1},
	{"{\"a\":{\"$size\":1.5}}", "{}", -1},
	{"{\"a\":{\"$size\":\"1\"}}", "{}", -1},
	{"{\"a\":{\"$mod\":[4,1]}}", "{\"a\":9}", 1},
	{"{\"a\":{\"$mod\":[4,-1]}}", "{\"a\":-9}", 1},
	{"{\"a\":{\"$mod\":[4,1]}}", "{\"a\":9.9}", 1},
	{"{\"a\":{\"$mod\":[4.9,1.9]}}", "{\"a\":[9]}", 1},
	{"{\"a\":{\"$mod\":[4,0]}}", "{\"a\":\"4\"}", 0},
	{"{\"a\":{\"$mod\":[4,0]}}", "{}", 0},
	{"{\"a\":{\"$mod\":[-1,0]}}", "{\"a\":-9223372036854775808}", 1},
	{"{\"a\":{\"$mod\":[2,0]}}", "{\"a\":1e300}", 0},
	{"{\"a\":{\"$mod\":[0,0]}}", "{}", -1},
	{"{\"a\":{\"$mod\":[0.5,0]}}", "{}", -1},
	{"{\"a\":{\"$mod\":[4]}}", "{}", -1},
	{"{\"a\":{\"$mod\":[4,1,1]}}", "{}", -1},
	{"{\"a\":{\"$mod\":[\"4\",1]}}", "{}", -1},
	{"{\"a\":{\"$mod\":[1e300,1]}}", "{}", -1},
	/* regexes */
	{"{\"a\":{\"$regex\":\"b+\"}}", "{\"a\":\"abbc\"}", 1},
	{"{\"a\":{\"$regex\":\"^b\"}}", "{\"a\":\"abbc\"}", 0},
	{"{\"a\":{\"$regex\":\"B\",\"$options\":\"i\"}}", "{\"a\":\"abc\"}", 1},
	{"{\"a\":{\"$options\":\"i\",\"$regex\":\"B\"}}", "{\"a\":\"abc\"}", 1},
	{"{\"a\":{\"$regex\":\"b\",\"$gt\":\"b\"}}", "{\"a\":\"abc\"}", 0},
	{"{\"a\":{\"$regex\":\"\"}}", "{\"a\":\"\"}", 1},
	{"{\"a\":{\"$regex\":\"\"}}", "{\"a\":5}", 0},
	{"{\"a\":{\"$regex\":\"\"}}", "{}", 0},
	{"{\"a\":{\"$regex\":\"^x$\"}}", "{\"a\":[1,\"x\"]}", 1},
	{"{\"a\":{\"$not\":{\"$regex\":\"^X$\",\"$options\":\"i\"}}}", "{\"a\":[1,\"x\"]}", 0},
	{"{\"a\":{\"$not\":{\"$regex\":\"y\"}}}", "{}", 1},
	{"{\"a\":{\"$elemMatch\":{\"$regex\":\"x\"}}}", "{\"a\":[\"ax\"]}", 1},
	{"{\"a\":{\"$in\":[{\"$regex\":\"^x\"},1]}}", "{\"a\":\"xy\"}", 1},
	{"{\"a\":{\"$in\":[{\"$regex\":\"^X\",\"$options\":\"i\"},1]}}", "{\"a\":[\"xy\"]}", 1},
	{"{\"a\":{\"$in\":[{\"$regex\":\"^x\"},1]}}", "{\"a\":1}", 1},
	{"{\"a\":{\"$in\":[{\"$regex\":\"^x\"},1]}}", "{\"a\":\"y\"}", 0},
	{"{\"a\":{\"$nin\":[{\"$regex\":\"^x\"},1]}}", "{\"a\":\"y\"}", 1},
	{"{\"a\":{\"$all\":[{\"$regex\":\"^x\"},1]}}", "{\"a\":[1,\"xy\"]}", 1},
	{"{\"a\":{\"$all\":[{\"$regex\":\"^x\"},1]}}", "{\"a\":[1,\"y\"]}", 0},
	{"{\"a\":{\"$in\":[{\"$regex\":\"(\"}]}}", "{}", -1},
	{"{\"a\":{\"$in\":[{\"$regex\":\"x\",\"$gt\":1}]}}", "{}", -1},
	{"{\"a\":{\"$regex\":\"(\"}}", "{}", -1},
	{"{\"a\":{\"$regex\":\"x\",\"$options\":\"g\"}}", "{}", -1},
	{"{\"a\":{\"$regex\":\"x\",\"$options\":1}}", "{}", -1},
	{"{\"a\":{\"$regex\":1}}", "{}", -1},
	{"{\"a\":{\"$options\":\"i\"}}", "{}", -1},
	{"{\"a\":{\"$eq\":{\"$regex\":\"x\"}}}", "{}", -1},
	/* expressions: more in calc.c */
	{"{\"$expr\":{\"$gt\":[\"$a\",\"$b\"]}}", "{\"a\":2,\"b\":1}", 1},
	{"{\"$expr\":{\"$gt\":[\"$a\",\"$b\"]}}", "{\"a\":1,\"b\":1}", 0},
	{"{\"c\":3,\"$and\":[{\"a\":{\"$exists\":true}},{\"$expr\":{\"$gt\":[{\"$add\":[\"$a\",1]},\"$b\"]}}]}",
	    "{\"a\":1,\"b\":1,\"c\":3}", 1},
	{"{\"$nor\":[{\"$expr\":{\"$gt\":[\"$a\",1]}}]}", "{\"a\":1}", 1},
	{"{\"$nor\":[{\"$expr\":{\"$gt\":[{\"$add\":[\"$a\",1]},1]}}]}", "{\"a\":\"x\"}", 0},
	{"{\"$or\":[{\"$expr\":{\"$add\":[\"$a\",1]}},{\"a\":\"x\"}]}", "{\"a\":\"x\"}", 0},
	{"{\"$or\":[{\"a\":\"x\"},{\"$expr\":{\"$add\":[\"$a\",1]}}]}", "{\"a\":\"x\"}", 1},
	{"{\"a\":{\"$elemMatch\":{\"b\":1,\"$expr\":true}}}", "{}", -1},
	{"{\"a\":{\"$elemMatch\":{\"$expr\":true}}}", "{}", -1},
	{"{\"a\":{\"$expr\":true}}", "{}", -1},
	/* elements */
	{"{\"a\":{\"$elemMatch\":{\"b\":1,\"c\":2}}}", "{\"a\":[{\"b\":1},{\"c\":2}]}", 0},
	{"{\"a\":{\"$elemMatch\":{\"b\":1,\"c\":2}}}", "{\"a\":[{\"c\":2,\"b\":[1]}]}", 1},
	{"{\"a\":{\"$elemMatch\":{\"b\":1}}}", "{\"a\":{\"b\":1}}", 0},
	{"{\"a\":{\"$elemMatch\":{\"$gt\":1,\"$lt\":3}}}", "{\"a\":[1,3]}", 0},
	{"{\"a\":{\"$elemMatch\":{\"$gt\":1,\"$lt\":3}}}", "{\"a\":[1,2,3]}", 1},
	{"{\"a\":{\"$elemMatch\":{\"$in\":[2]}}}", "{\"a\":[[2]]}", 0},
	{"{\"a\":{\"$elemMatch\":{\"$elemMatch\":{\"$gt\":5}}}}", "{\"a\":[[1],[6]]}", 1},
	{"{\"a\":{\"$elemMatch\":{\"$or\":[{\"b\":1},{\"c\":1}]}}}", "{\"a\":[{\"c\":1}]}", 1},
	{"{\"a\":{\"$elemMatch\":{\"0\":2}}}", "{\"a\":[[2]]}", 1},
	{"{\"a\":{\"$elemMatch\":{}}}", "{\"a\":[1]}", 0},
	{"{\"a\":{\"$elemMatch\":{}}}", "{\"a\":[{}]}", 1},
	{"{\"a\":{\"$elemMatch\":{\"$not\":{\"$gt\":5}}}}", "{\"a\":[6,7]}", 0},
	{"{\"a\":{\"$elemMatch\":{\"$not\":{\"$gt\":5}}}}", "{\"a\":[6,5]}", 1},
	{"{\"a.b\":{\"$elemMatch\":{\"c\":1}}}", "{\"a\":[{\"b\":[{\"c\":1}]}]}", 1},
	{"{\"a\":{\"$not\":{\"$elemMatch\":{\"b\":1}}}}", "{\"a\":[{\"b\":1}]}", 0},
	{"{\"a\":{\"$elemMatch\":1}}", "{}", -1},
	{"{\"a\":{\"$elemMatch\":{\"$gt\":1,\"b\":2}}}", "{}", -1},
	/* and, or, nor, not */
	{"{\"$and\":[{\"a\":1},{\"b\":2}]}", "{\"a\":1,\"b\":2}", 1},
	{"{\"$and\":[{\"a\":1},{\"b\":2}]}", "{\"a\":1}", 0},
	{"{\"$or\":[{\"a\":1},{\"b\":2}]}", "{\"b\":2}", 1},
	{"{\"$or\":[{\"a\":1},{\"b\":2}]}", "{\"c\":2}", 0},
	{"{\"$or\":[{\"a\":1,\"b\":1}]}", "{\"a\":1}", 0},
	{"{\"$nor\":[{\"a\":1},{\"b\":2}]}", "{\"c\":2}", 1},
	{"{\"$nor\":[{\"a\":1},{\"b\":2}]}", "{\"b\":2}", 0},
	{"{\"$or\":[{}]}", "{}", 1},
	{"{\"$or\":[{\"$and\":[{\"a\":1},{\"$nor\":[{\"b\":1}]}]}],\"c\":1}", "{\"a\":1,\"c\":1}", 1},
	{"{\"a\":{\"$not\":{\"$gt\":1}}}", "{\"a\":1}", 1},
	{"{\"a\":{\"$not\":{\"$gt\":1}}}", "{}", 1},
	{"{\"a\":{\"$not\":{\"$gt\":1,\"$lt\":5}}}", "{\"a\":7}", 1},
	{"{\"a\":{\"$not\":{\"$gt\":1,\"$lt\":5}}}", "{\"a\":3}", 0},
	{"{\"a\":{\"$not\":{\"$not\":{\"$eq\":1}}}}", "{\"a\":1}", 1},
	{"{\"$and\":[]}", "{}", -1},
	{"{\"$or\":{}}", "{}", -1},
	{"{\"$nor\":[1]}", "{}", -1},
	{"{\"a\":{\"$not\":1}}", "{}", -1},
	{"{\"a\":{\"$not\":{}}}", "{}", -1},
	{"{\"a\":{\"$not\":{\"b\":1}}}", "{}", -1},
	/* not known here, wherever they stand */
	{"{\"$where\":\"1\"}", "{}", -1},
	{"{\"$comment\":\"x\"}", "{}", -1},
	{"{\"a\":{\"$eq\":1,\"$foo\":1}}", "{}", -1},
	{"{\"a\":{\"$gt\":1,\"b\":1}}", "{}", -1},
	{"{\"$eq\":1}", "{}", -1},
	{"{\"a\":{\"$and\":[{\"b\":1}]}}", "{}", -1},
	{"{\"a\":{\"\":1}}", "{\"a\":{\"\":1}}", 1},
	{"[]", "{}", -1},
	{"1", "{}", -1},
};

static void
test_rows(void)
{
	for (size_t i = 0; i < LEN(rows); i++) {
		struct json_doc *f = parse(rows[i].filter), *d = parse(rows[i].doc);
		struct err e = {0};
		int is = ask(f->root, d->root, &e);

		check(is == rows[i].want && e.code == (is < 0 ? 400 : 0), "%s on %s: %d, %s", rows[i].filter, rows[i].doc, is, e.msg);
		json_free(f);
		json_free(d);
	}
}

/* The message names what is not known. */
static void
test_names(void)
{
	static const struct {
		const char *filter, *name;
	} refused[] = {
		{"{\"$where\":\"1\"}", "$where"}, {"{\"a\":{\"$regex\":\"(\"}}", "$regex"}, {"{\"$expr\":{\"$foo\":1}}", "$foo"},
		{"{\"$or\":[{\"a\":{\"$elemMatch\":{\"$near\":1}}}]}", "$near"}, {"{\"a\":{\"$in\":[{\"$foo\":1}]}}", "$foo"},
		{"{\"a\":{\"$size\":-1}}", "$size"}, {"{\"a\":{\"$not\":{\"$bar\":1}}}", "$bar"},
		{"{\"a\":{\"$ne\":{\"$regex\":1}}}", "$regex"},
	};

	for (size_t i = 0; i < LEN(refused); i++) {
		struct json_doc *f = parse(refused[i].filter);
		struct err e = {0};

		check(ask(f->root, NULL, &e) < 0 && e.code == 400 && strstr(e.msg, refused[i].name), "%s: %s", refused[i].filter, e.msg);
		json_free(f);
	}
}

/* created is a time, as the state gives it: tagged, in UTC. */
static const struct json *
get_time(void *arg, struct str name)
{
	static struct json v;

	v = (struct json){.type = JSON_STR, .tag = TOML_DATETIME, .s = arg, .len = strlen(arg)};
	return str_is(name, "created") ? &v : NULL;
}

static void
test_times(void)
{
	static const struct {
		const char *filter, *time;
		bool want;
	} cases[] = {
		{"{\"created\":{\"_dt\":\"2026-11-23T23:20:49.206Z\"}}", "2026-11-23T23:20:49.206000Z", true},
		{"{\"created\":{\"_dt\":\"2026-11-24T00:20:49.206+01:00\"}}", "2026-11-23T23:20:49.206000Z", true},
		{"{\"created\":{\"_dt\":\"2026-11-23T23:20:49.206001Z\"}}", "2026-11-23T23:20:49.206000Z", false},
		{"{\"created\":{\"$gte\":{\"_dt\":\"2026-11-23T00:00:00Z\"}}}", "2026-11-23T00:00:00.000000Z", true},
		{"{\"created\":{\"$gt\":{\"_dt\":\"2026-11-23T00:00:00Z\"}}}", "2026-11-23T00:00:00.000000Z", false},
		{"{\"created\":{\"$gt\":{\"_dt\":\"1969-12-31T23:59:59.5Z\"}}}", "1969-12-31T23:59:59.500001Z", true},
		{"{\"created\":{\"$lt\":{\"_dt\":\"9999-12-31T23:59:59-12:00\"}}}", "9999-12-31T00:00:00.000000Z", true},
		{"{\"created\":{\"$in\":[1,{\"_dt\":\"2026-11-23T00:00:00Z\"}]}}", "2026-11-23T00:00:00.000000Z", true},
		{"{\"created\":{\"$not\":{\"$gt\":{\"_dt\":\"2026-11-23T00:00:00Z\"}}}}", "2026-11-22T00:00:00.000000Z", true},
		{"{\"created\":{\"$type\":\"date\"}}", "2026-11-22T00:00:00.000000Z", true},
		{"{\"created\":{\"$type\":\"string\"}}", "2026-11-22T00:00:00.000000Z", false},
		{"{\"created\":\"2026-11-22T00:00:00.000000Z\"}", "2026-11-22T00:00:00.000000Z", false},
		{"{\"created\":{\"$gt\":\"\"}}", "2026-11-22T00:00:00.000000Z", false},
		{"{\"created\":{\"$lt\":{\"_dt\":\"soon\"}}}", "2026-11-22T00:00:00.000000Z", false},
		{"{\"created\":{\"_dt\":\"2026-11-22T00:00:00Z\",\"x\":1}}", "2026-11-22T00:00:00.000000Z", false},
		/* without zone: the machine's, here five hours west of UTC, four in summer */
		{"{\"created\":{\"_dt\":\"2026-01-15T07:00:00\"}}", "2026-01-15T12:00:00.000000Z", true},
		{"{\"created\":{\"_dt\":\"2026-07-15 07:00:00.25\"}}", "2026-07-15T11:00:00.250000Z", true},
		{"{\"created\":{\"_dt\":\"1965-01-15T07:00:00.25\"}}", "1965-01-15T12:00:00.250000Z", true},
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		struct json_doc *f = parse(cases[i].filter);
		struct err e = {0};
		struct match *m = match_new(f->root, &e);
		char time[32];

		strcpy(time, cases[i].time);
		check(m && match_test(m, get_time, time) == cases[i].want, "%s at %s: %s", cases[i].filter, time, e.msg);
		match_free(m);
		json_free(f);
	}
}

/* A list in MongoDB's order: each before all that come after, and the same as itself.  "=": the same as the one before. */
static void
test_order(void)
{
	static const char *const values[] = {
		"null", "-1e308", "-123456789012345678901234567891", "-123456789012345678901234567890",
		"-9223372036854777856", "-9223372036854775808", "=-9223372036854775808.0", "-1.5", "-1", "0", "=-0.0",
		"0.1", "1", "=1.0", "=10e-1", "9007199254740992", "=9007199254740992.0", "9007199254740993", "9223372036854775807",
		"9223372036854775808", "=9223372036854775808.0", "9223372036854775809",
		"12345678901234567890123", "99999999999999991611391", "99999999999999991611392", "=1e23",
		"99999999999999991611393", "1e308", "\"\"", "\"A\"", "\"A\\u0000\"", "\"AA\"", "\"a\"", "\"\\u00e9\"", "\"\\ud83d\\ude00\"",
		"{}", "{\"z\":null}", "{\"a\":1}", "{\"a\":1,\"a0\":1}", "{\"a\":2}", "{\"b\":1}", "{\"a\":\"\"}", "{\"a\":true}",
		"[]", "[null]", "[1]", "=[1.0]", "[1,1]", "[1,[]]", "[2]", "[\"\"]", "[[]]", "false", "true",
	};
	int rank[LEN(values)];

	for (size_t i = 0; i < LEN(values); i++)
		rank[i] = i ? rank[i - 1] + (values[i][0] != '=') : 0;
	for (size_t i = 0; i < LEN(values); i++) {
		for (size_t k = 0; k < LEN(values); k++) {
			struct json_doc *a = parse(values[i] + (values[i][0] == '=')), *b = parse(values[k] + (values[k][0] == '='));
			int c = value_compare(a->root, b->root), want = (rank[i] > rank[k]) - (rank[i] < rank[k]);

			check((c > 0) - (c < 0) == want, "%s and %s: %d", values[i], values[k], c);
			json_free(a);
			json_free(b);
		}
	}
	check(!value_compare(NULL, NULL), "both missing");
}

static void
test_keys(void)
{
	static const struct {
		const char *path, *doc, *least, *greatest;   /* NULL: nothing */
	} cases[] = {
		{"a", "{\"a\":3}", "3", "3"},
		{"a", "{}", NULL, NULL},
		{"a", "{\"a\":null}", "null", "null"},
		{"a", "{\"a\":[3,1,2]}", "1", "3"},
		{"a", "{\"a\":[3,null,\"x\"]}", "null", "\"x\""},
		{"a.b", "{\"a\":[{\"b\":3},{\"b\":[1,9]},{\"b\":4}]}", "1", "9"},
		{"a.b", "{\"a\":{\"b\":{\"c\":1}}}", "{\"c\":1}", "{\"c\":1}"},
		{"a.b", "{\"a\":1}", NULL, NULL},
		{"a.b", "{\"a\":[{\"b\":1},{}]}", NULL, "1"},
		{"a.1", "{\"a\":[3,1,2]}", "1", "1"},
		{"a", "{\"a\":[[2],[1]]}", "[1]", "[2]"},
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		struct match_path *p = match_path_new(str_of(cases[i].path));
		struct json_doc *d = parse(cases[i].doc);

		for (int desc = 0; desc < 2; desc++) {
			const struct json *v = match_key(p, desc, get, d->root);
			const char *want = desc ? cases[i].greatest : cases[i].least;
			struct buf b = {0};

			if (v)
				json_print(&b, v, 0);
			check(want ? v && !strcmp(b.p, want) : !v, "%s of %s: %s", cases[i].path, cases[i].doc, v ? b.p : "nothing");
			buf_free(&b);
		}
		match_path_free(p);
		json_free(d);
	}
}

/* An empty array sorts before null. */
static void
test_empty(void)
{
	struct match_path *p = match_path_new(str_of("a"));
	struct json_doc *d = parse("{\"a\":[]}"), *null = parse("null");
	const struct json *v = match_key(p, false, get, d->root);

	check(value_compare(v, null->root) < 0 && value_compare(v, NULL) < 0 && !value_compare(v, v), "an empty array");
	match_path_free(p);
	json_free(d);
	json_free(null);
}

/* What is asked of a field beside others is dropped, whatever the operators; not what stands in $and. */
static void
test_drop(void)
{
	struct json_doc *f = parse("{\"a\":{\"$gt\":5,\"$in\":[7]},\"b\":1,\"a.c\":null,\"$and\":[{\"a\":{\"$lt\":4}}]}"), *d;
	struct err e = {0};
	struct match *m = match_new(f->root, &e);

	match_drop(m, "a");
	d = parse("{\"a\":3,\"b\":1}");
	check(match_test(m, get, d->root), "a is dropped");
	json_free(d);
	d = parse("{\"a\":4,\"b\":1}");
	check(!match_test(m, get, d->root), "not in $and");
	json_free(d);
	match_drop(m, "b");
	d = parse("{\"a\":3}");
	check(match_test(m, get, d->root), "b too");
	json_free(d);
	match_free(m);
	json_free(f);
}

/* A filter whose tests cost more than a filter may matches nothing, and says so. */
static void
test_cost(void)
{
	struct json_doc *f = parse("{\"a\":{\"$ne\":2},\"b\":{\"$regex\":\"x\"}}"), *d = parse("{\"a\":[1,1,1],\"b\":\"yyx\"}");
	struct err e = {0};
	struct match *m = match_new(f->root, &e);
	uint64_t cost;

	check(match_test(m, get, d->root), "it matches");
	cost = COST - m->left;
	check(cost > 40 && cost < 80, "it costs %d", (int)cost);
	m->left = cost + 1;
	check(match_test(m, get, d->root) && !match_spent(m, &e), "again, for as much");
	m->left = cost;
	check(!match_test(m, get, d->root) && match_spent(m, &e) < 0 && e.code == 400, "not for less: %s", e.msg);
	check(!match_test(m, get, d->root), "nor ever after");
	match_free(m);
	json_free(f);
	json_free(d);
}

static void
repeat(struct buf *b, const char *text, int n)
{
	while (n--)
		buf_adds(b, text);
}

/* What comparisons cost is as much as they look at: a search among many, and values that hold many. */
static void
test_cost_of_comparisons(void)
{
	static const char *const filters[] = {"{\"a\":[0", "{\"b\":{\"$in\":[0", "{\"$expr\":{\"$eq\":[\"$a\",\"$a\"]},\"c\":[0"};
	static const uint64_t least[] = {10000, 100, 10000};
	struct buf list = {0};
	struct json_doc *d;

	buf_adds(&list, "{\"b\":1,\"a\":[0");
	repeat(&list, ",0", 1023);
	buf_adds(&list, "]}");
	d = parse(list.p);
	for (size_t i = 0; i < LEN(filters); i++) {
		struct buf b = {0};
		struct json_doc *f;
		struct match *m;

		buf_adds(&b, filters[i]);
		repeat(&b, ",0", 1023);
		buf_adds(&b, i == 1 ? "]}}" : "]}");
		f = parse(b.p);
		m = match_new(f->root, NULL);
		match_test(m, get, d->root);
		check(COST - m->left > least[i] && COST - m->left < 4 * least[i], "filter %d costs %d", (int)i, (int)(COST - m->left));
		match_free(m);
		json_free(f);
		buf_free(&b);
	}
	json_free(d);
	buf_free(&list);
}

/* A filter of deep nesting, of many conditions, of many parts; a path that could be walked in 2^n ways. */
static void
test_bounds(void)
{
	struct buf f = {0}, d = {0};
	struct err e = {0};
	struct json_doc *fd, *dd;

	repeat(&f, "{\"$and\":[", 250);
	buf_adds(&f, "{\"a\":1}");
	repeat(&f, "]}", 250);
	fd = parse(f.p);
	dd = parse("{\"a\":1}");
	check(ask(fd->root, dd->root, &e) == 1, "250 times $and: %s", e.msg);
	json_free(fd);

	buf_clear(&f);
	buf_adds(&f, "{\"$or\":[{\"a\":0}");
	repeat(&f, ",{\"a\":0}", 20000);
	buf_adds(&f, "]}");
	fd = parse(f.p);
	check(ask(fd->root, dd->root, &e) == -1 && e.code == 400, "20001 conditions");
	json_free(fd);
	json_free(dd);

	buf_clear(&f);
	buf_adds(&f, "{\"a\":{\"$in\":[7");
	for (int i = 100000; i > 0; i--)
		buf_printf(&f, ",%d", i * 2);
	buf_adds(&f, "]}}");
	fd = parse(f.p);
	dd = parse("{\"a\":100000}");
	e.code = 0;
	check(ask(fd->root, dd->root, &e) == 1, "100001 values: %s", e.msg);
	json_free(fd);
	json_free(dd);

	buf_clear(&f);
	buf_adds(&f, "{\"a");
	repeat(&f, ".0", 198);
	buf_adds(&f, ".z\":1}");
	buf_adds(&d, "{\"a\":");
	repeat(&d, "[{\"0\":", 250);
	buf_adds(&d, "1");
	repeat(&d, "}]", 250);
	buf_adds(&d, "}");
	fd = parse(f.p);
	dd = parse(d.p);
	check(ask(fd->root, dd->root, &e) == 0, "a path of places and names: %s", e.msg);
	json_free(fd);
	json_free(dd);

	buf_clear(&f);
	buf_adds(&f, "{\"a");
	repeat(&f, ".b", 200);
	buf_adds(&f, "\":1}");
	fd = parse(f.p);
	check(ask(fd->root, NULL, &e) == -1 && e.code == 400, "201 parts");
	json_free(fd);
	buf_free(&f);
	buf_free(&d);
}

/* ---- random filters: what must hold between any two ---- */

static unsigned
roll(unsigned n)
{
	static uint32_t x = 1;

	x = x * 1103515245u + 12345u;
	return (x >> 16) % n;
}

static void
random_value(struct buf *b, int depth)
{
	static const char *const plain[] = {"null", "0", "1", "1.0", "-2.5", "\"\"", "\"x\"", "true", "false", "[]", "{}", "3"};
	unsigned kind = roll(4), n = roll(3) + 1;

	if (depth > 3 || kind > 1) {
		buf_adds(b, plain[roll(LEN(plain))]);
		return;
	}
	buf_addc(b, kind ? '[' : '{');
	for (unsigned i = 0; i < n; i++) {
		buf_adds(b, i ? "," : "");
		if (!kind)
			buf_printf(b, "\"%c\":", "ab0"[i]);
		random_value(b, depth + 1);
	}
	buf_addc(b, kind ? ']' : '}');
}

/* Some are refused. */
static void
random_filter(struct buf *b, int depth)
{
	static const char *const paths[] = {"a", "b", "a.b", "a.0", "a.0.b", "b.a.0", "a.b.a", "0"};
	static const char *const opers[] = {
		"$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$all", "$exists", "$size", "$type", "$mod", "$elemMatch", "$not",
	};
	unsigned kind = depth > 3 ? 1 : roll(4);

	buf_addc(b, '{');
	if (kind == 0) {
		buf_printf(b, "\"%s\":[", roll(3) ? roll(2) ? "$and" : "$or" : "$nor");
		random_filter(b, depth + 1);
		buf_addc(b, ',');
		random_filter(b, depth + 1);
		buf_addc(b, ']');
	} else {
		const char *oper = opers[roll(LEN(opers))];

		buf_printf(b, "\"%s\":", paths[roll(LEN(paths))]);
		if (kind > 1)
			buf_printf(b, "{\"%s\":", oper);
		if (kind > 1 && !strcmp(oper, "$elemMatch"))
			random_filter(b, depth + 1);
		else if (kind > 1 && !strcmp(oper, "$not"))
			buf_printf(b, "{\"$gt\":%u}", roll(3));
		else
			random_value(b, kind > 1 && strchr("ina", oper[1]) ? 2 : 1);
		if (kind > 1)
			buf_addc(b, '}');
	}
	buf_addc(b, '}');
}

static int
ask_text(const char *filter, struct json *doc)
{
	struct json_doc *f = parse(filter);
	int is = ask(f->root, doc, NULL);

	json_free(f);
	return is;
}

static void
test_random(void)
{
	int count[3] = {0};

	for (int i = 0; i < 20000; i++) {
		struct buf f = {0}, g = {0}, d = {0}, b = {0};
		struct json_doc *doc;
		int x, y;

		random_filter(&f, 0);
		random_filter(&g, 0);
		buf_adds(&d, "{\"a\":");
		random_value(&d, 0);
		buf_adds(&d, ",\"b\":");
		random_value(&d, 0);
		buf_addc(&d, '}');
		doc = parse(d.p);
		x = ask_text(f.p, doc->root);
		y = ask_text(g.p, doc->root);
		count[x + 1]++;
		if (x >= 0 && y >= 0) {
			buf_printf(&b, "{\"$nor\":[%s]}", f.p);
			check(ask_text(b.p, doc->root) == !x, "not %s on %s", f.p, d.p);
			buf_clear(&b);
			buf_printf(&b, "{\"$and\":[%s,%s]}", f.p, g.p);
			check(ask_text(b.p, doc->root) == (x && y), "%s on %s", b.p, d.p);
			buf_clear(&b);
			buf_printf(&b, "{\"$or\":[%s,%s]}", f.p, g.p);
			check(ask_text(b.p, doc->root) == (x || y), "%s on %s", b.p, d.p);
		}
		json_free(doc);
		buf_free(&f);
		buf_free(&g);
		buf_free(&d);
		buf_free(&b);
	}
	check(count[0] > 500 && count[1] > 500 && count[2] > 500, "%d refused, %d not, %d match", count[0], count[1], count[2]);
}

/* ---- corpora: one JSON object a line ---- */

/* Rows whose expectation is not MongoDB's, or not ours. */
static const struct {
	const char *file, *filter, *why;
} exceptions[] = {
	{"minimongo", "1", "Meteor: an id as filter; ours must be objects"},
	{"minimongo", "\"a\"", "Meteor: an id as filter; ours must be objects"},
	{"minimongo", "false", "Meteor: a filter that finds nothing; ours must be objects"},
	{"minimongo", "null", "Meteor: a filter that finds nothing; ours must be objects"},
	{"minimongo", "{\"_id\":\"\"}", "Meteor: an id that is false finds nothing"},
	{"minimongo", "{\"_id\":0}", "Meteor: an id that is false finds nothing"},
	{"minimongo", "{\"a\":{\"$type\":1}}", "Meteor: all numbers are doubles; ours are int, long or double, as MongoDB's"},
	{"minimongo", "{\"a\":{\"$type\":4}}", "Meteor: an array is not looked at as a whole"},
};

static bool
excepted(const char *file, const struct json *filter)
{
	struct buf b = {0};
	bool is = false;

	json_print(&b, filter, 0);
	for (size_t i = 0; i < LEN(exceptions); i++)
		is = is || (strstr(file, exceptions[i].file) && !strcmp(b.p, exceptions[i].filter));
	buf_free(&b);
	return is;
}

/* An operator in a filter that SPEC 2 does not list; NULL: none. */
static const struct json *
unlisted(const struct json *v)
{
	const struct json *u = NULL;

	if (v->type != JSON_OBJ && v->type != JSON_ARR)
		return NULL;
	for (const struct json *m = v->head; m && !u; m = m->next) {
		if (v->type == JSON_OBJ && is_operator(m) && !find_oper(on_field, LEN(on_field), m->key)
		    && !find_oper(beside_fields, LEN(beside_fields), m->key))
			u = m;
		else
			u = unlisted(m);
	}
	return u;
}

/* What is not listed must be refused by name; so must all that is refused there. */
static bool
pair(const char *file, int line, const struct json *row)
{
	const struct json *filter = json_gets(row, "filter"), *needs = json_gets(row, "needs_ejson"), *doc = json_gets(row, "doc"), *u;
	const char *expect = json_gets(row, "expect")->s;
	struct err e = {0};
	int is;

	if ((needs && needs->is) || excepted(file, filter))
		return false;
	is = ask(filter, (struct json *)(doc ? doc : row), &e);
	u = unlisted(filter);
	if (u)
		check(is < 0 && strstr(e.msg, u->key.p), "%s:%d: %d, does not name %s: %s", file, line, is, u->key.p, e.msg);
	else
		check(is == (!strcmp(expect, "match") ? 1 : !strcmp(expect, "nomatch") ? 0 : -1), "%s:%d: %d, not %s: %s", file, line, is,
		    expect, e.msg);
	return true;
}

static void
corpus(const char *dir, const char *name)
{
	char *path = xprintf("%s/filters/%s", dir, name), *p;
	struct buf b = {0};
	struct err e = {0};
	int line = 0, taken = 0;

	if (sys_slurp(path, 64 << 20, &b, &e) < 0) {
		check(false, "%s: %s", path, e.msg);
		free(path);
		return;
	}
	for (p = b.p; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		struct json_doc *d = json_parse(p, strcspn(p, "\n"), &e);

		line++;
		check(d != NULL, "%s:%d: %s", path, line, e.msg);
		taken += d && pair(path, line, d->root);
		json_free(d);
	}
	printf("%s: %d of %d rows, the others are exceptions or need extended JSON\n", name, taken, line);
	free(path);
	buf_free(&b);
}

int
main(int argc, char **argv)
{
	setenv("TZ", "EST5EDT,M3.2.0,M11.1.0", 1);
	tzset();
	test_rows();
	test_names();
	test_times();
	test_order();
	test_keys();
	test_empty();
	test_drop();
	test_cost();
	test_cost_of_comparisons();
	test_bounds();
	test_random();
	if (argc > 1) {
		corpus(argv[1], "documentdb_pairs.jsonl");
		corpus(argv[1], "documentdb_errors.jsonl");
		corpus(argv[1], "minimongo_meteor.jsonl");
	}
	return test_done("match");
}
