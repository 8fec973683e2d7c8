/* SPDX-License-Identifier: MIT */
/*
 * expr.c and literal.c: what is translated is JSON that the server takes for a filter, also in brackets and joined with itself; a
 * literal printed as JSON is that literal.
 */
#include "fuzz.h"
#include "../../cli/cli.h"
#include "../../server/server.h"

static int
one_hour(int64_t seconds)
{
	(void)seconds;
	return 3600;
}
static const struct when when = {.now = 1785234567000000, .offset = one_hour};

static const struct json *
nothing(void *arg, struct str name)
{
	(void)arg;
	(void)name;
	return NULL;
}

/* What only the server can judge: a regular expression that it does not take, and how much there may be in a filter. */
static bool
excused(const struct err *e)
{
	static const char *const why[] = {"$regex", "regular expression", "conditions", "too large", "too many", "parts"};

	for (size_t i = 0; i < LEN(why); i++)
		if (strstr(e->msg, why[i]))
			return true;
	return false;
}

static void
must_filter(const struct json *v)
{
	struct buf b = {0};
	struct err e = {0};
	struct json_doc *d;
	struct match *m;

	json_print(&b, v, 0);
	d = json_parse(b.p, b.len, &e);
	must(d, "no JSON: %s: %s", e.msg, b.p);
	m = match_new(d->root, &e);
	must(m || excused(&e), "no filter: %s: %s", e.msg, b.p);
	if (m)
		match_test(m, nothing, NULL);
	match_free(m);
	json_free(d);
	buf_free(&b);
}

static void
must_join(const struct json *v, struct str text)
{
	struct json_doc *d = json_new();
	struct buf b = {0};
	struct err e = {0};
	struct json *w;

	buf_addc(&b, '(');
	buf_add(&b, text.p, text.n);
	buf_adds(&b, "\n)");
	w = expr_parse(d, (struct str){b.p, b.len}, &when, &e);
	must(w && json_eq(v, w), "in brackets: %s", w ? "another filter" : e.msg);
	buf_clear(&b);
	buf_add(&b, text.p, text.n);
	buf_adds(&b, "\nor not_a_field == 1");
	must(!expr_parse(d, (struct str){b.p, b.len}, &when, &e), "a field that is none");
	buf_clear(&b);
	buf_addc(&b, '(');
	buf_add(&b, text.p, text.n);
	buf_adds(&b, "\n) and (");
	buf_add(&b, text.p, text.n);
	buf_adds(&b, "\n)");
	e = (struct err){0};
	w = expr_parse(d, (struct str){b.p, b.len}, &when, &e);
	must(w, "joined with itself: %s", e.msg);
	must_filter(w);
	json_free(d);
	buf_free(&b);
}

static bool
is_dict(struct str s)
{
	while (s.n && strchr(" \t\r\n\f\v", *s.p) && *s.p) {
		s.p++;
		s.n--;
	}
	return s.n && *s.p == '{';
}

static void
must_be_literal(struct str text)
{
	struct json_doc *d = json_new(), *again;
	struct json *v = literal_parse(d, text), *w;
	struct buf b = {0};

	if (v) {
		json_print(&b, v, 0);
		again = json_parse(b.p, b.len, NULL);
		must(again && json_eq(v, again->root), "a literal that is no JSON: %s", b.p);
		w = literal_parse(d, (struct str){b.p, b.len});
		must(w && json_eq(v, w), "JSON that is no literal: %s", b.p);
		json_free(again);
	}
	buf_free(&b);
	json_free(d);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str text = text_of(data, n);
	struct json_doc *d = json_new();
	struct err e = {0};
	struct json *v = expr_parse(d, text, &when, &e);

	if (!v) {
		must_tell(&e, n);
		must(e.line && e.col, "a place without line and column: %s", e.msg);
	} else if (!is_dict(text)) {
		must_filter(v);
		if (n < 400)   /* beyond that twice of it may be too much */
			must_join(v, text);
	}
	must_be_literal(text);
	json_free(d);
	return 0;
}
