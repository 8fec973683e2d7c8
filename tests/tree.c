/* SPDX-License-Identifier: MIT */
/* tree.c: the text of shapes, one shape for the same keys, and no more, no less (SPEC 1.2). */
#include "../server/tree.c"
#include "parse.h"
#include "test.h"

static const unsigned char seed[16] = "0123456789abcde";

static void
test_text(void)
{
	static const struct {
		const char *args, *text;
	} rows[] = {
		{"{}", ""},
		{"[1]", ""},
		{"{\"b\":{\"x\":1,\"w\":{}},\"a\":[]}", "1:a,1:b{1:w,1:x,}"},
		{"{\"a\":null}", "1:a,"},
		{"{\"a\":[{\"b\":1}]}", "1:a,"},
		{"{\"a\":{}}", "1:a,"},
		{"{\"a\":{\"a\":{\"a\":{}}}}", "1:a{1:a{1:a,}}"},
		{"{\"ab\":1,\"a\":1,\"b\":1,\"B\":1,\"_\":1}", "1:B,1:_,1:a,2:ab,1:b,"},
		{"{\"1:a,\":1,\"\":2}", "0:,4:1:a,,"},
		{"{\"a}\":{\"{\":1}}", "2:a}{1:{,}"},
		{"{\"\\u00e9\":1,\"z\":1}", "1:z,2:\xc3\xa9,"},
		{"{\"abcdefghijkl\":1}", "12:abcdefghijkl,"},
	};
	struct shapes *t = shapes_new(seed);

	for (size_t i = 0; i < LEN(rows); i++) {
		struct json_doc *d = parse(rows[i].args);
		struct shape *s = shapes_take(t, d->root);

		check(str_is(s->text, rows[i].text), "%s: %.*s", rows[i].args, (int)s->text.n, s->text.p);
		json_free(d);
	}
	shapes_free(t);
}

/* The same keys are one shape, whatever the order and the values; others are others. */
static void
test_same(void)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{"{\"a\":1,\"b\":2}", "{\"b\":[],\"a\":null}", true},
		{"{\"a\":{\"c\":1,\"b\":2}}", "{\"a\":{\"b\":1,\"c\":{}}}", true},
		{"{\"a\":{}}", "{\"a\":0}", true},
		{"{}", "{}", true},
		{"{\"a\":{\"b\":1}}", "{\"a\":1,\"b\":1}", false},
		{"{\"a\":{\"b\":1},\"c\":1}", "{\"a\":{\"b\":1,\"c\":1}}", false},
		{"{\"a.b\":1}", "{\"a\":{\"b\":1}}", false},
		{"{\"a\":1}", "{\"A\":1}", false},
		{"{}", "{\"\":1}", false},
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct shapes *t = shapes_new(seed);
		struct json_doc *x = parse(rows[i].a), *y = parse(rows[i].b);
		struct shape *a = shapes_take(t, x->root), *b = shapes_take(t, y->root);

		check((a == b) == rows[i].same, "%s and %s", rows[i].a, rows[i].b);
		check(a->refs == (rows[i].same ? 2 : 1), "%s: references", rows[i].a);
		json_free(x);
		json_free(y);
		shapes_drop(t, b);
		check(shapes_first(t) == a && a->refs == 1, "%s: one left", rows[i].a);
		shapes_drop(t, a);
		check(!shapes_first(t) && !t->n, "%s: none left", rows[i].a);
		shapes_free(t);
	}
}

/* Thousands of shapes: the list keeps the order of creation, drops in any order leave the others. */
static void
test_many(void)
{
	enum { MANY = 5000 };
	static struct shape *made[MANY];
	struct shapes *t = shapes_new(seed);
	char text[40];
	size_t n = 0;

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++) {
			struct json_doc *d;
			struct shape *s;

			snprintf(text, sizeof text, "{\"k%d\":1}", i);
			d = parse(text);
			s = shapes_take(t, d->root);
			if (round && made[i] != s)
				check(false, "shape %d is not found again", i);
			made[i] = s;
			json_free(d);
		}
	}
	for (const struct shape *s = shapes_first(t); s; s = s->next)
		n += s == made[n];
	check(n == MANY, "order of creation: %d", (int)n);
	for (int i = 0; i < MANY; i++) {
		int k = (int)((unsigned)i * 2477u % MANY);

		shapes_drop(t, made[k]);
		shapes_drop(t, made[k]);
		if (i == MANY / 2) {
			n = 0;
			for (const struct shape *s = shapes_first(t), *p = NULL; s; p = s, s = s->next, n++)
				if (s->prev != p)
					check(false, "the list is broken");
			check(n == MANY - MANY / 2 - 1, "half are left: %d", (int)n);
		}
	}
	check(!shapes_first(t) && !t->last, "none are left");
	check(shapes_take(t, NULL)->text.n == 0, "no args are {}");
	shapes_free(t);
}

static void
test_need(void)
{
	static const struct {
		const char *required, *args;
		bool want;
	} rows[] = {
		{"[\"a\"]", "{\"a\":1}", true},
		{"[\"a\"]", "{\"a\":null}", true},
		{"[\"a\"]", "{\"a\":{}}", true},
		{"[\"a\"]", "{\"a\":{\"b\":{\"c\":1},\"d\":2}}", true},
		{"[\"a\"]", "{}", false},
		{"[\"a\"]", "{\"b\":1}", false},
		{"[\"a\"]", "{\"a\":1,\"b\":1}", false},
		{"[\"b\"]", "{\"a\":1,\"b\":1}", false},
		{"[\"b\"]", "{\"b\":1,\"c\":{\"x\":1}}", false},
		{"[\"a\",\"b\"]", "{\"b\":1,\"a\":1}", true},
		{"[\"b\",\"a\",\"b\"]", "{\"b\":1,\"a\":1}", true},
		{"[\"a\",\"b\"]", "{\"a\":1}", false},
		{"[\"a\",\"b\"]", "{\"b\":1}", false},
		{"[\"a.b\"]", "{\"a\":{\"b\":1}}", true},
		{"[\"a.b\"]", "{\"a\":{\"b\":{\"c\":1}}}", true},
		{"[\"a.b\"]", "{\"a\":1}", false},
		{"[\"a.b\"]", "{\"a\":{}}", false},
		{"[\"a.b\"]", "{\"a\":[{\"b\":1}]}", false},
		{"[\"a.b\"]", "{\"a.b\":1}", false},
		{"[\"a.b\"]", "{\"a\":{\"b\":1,\"c\":1}}", false},
		{"[\"a.c\"]", "{\"a\":{\"b\":1,\"c\":1}}", false},
		{"[\"a.b\",\"a.c\"]", "{\"a\":{\"b\":1,\"c\":1}}", true},
		{"[\"a.b\",\"c\"]", "{\"a\":{\"b\":1},\"c\":1}", true},
		{"[\"a.b\",\"c\"]", "{\"a\":{\"b\":1,\"c\":1}}", false},
		{"[\"a\",\"a.b\"]", "{\"a\":{\"b\":1,\"c\":1}}", true},
		{"[\"a.b\",\"a\"]", "{\"a\":{\"b\":1,\"c\":1}}", true},
		{"[\"a\",\"a.b\"]", "{\"a\":{\"c\":1}}", false},
		{"[\"a\",\"a.b.c\"]", "{\"a\":{\"b\":{\"c\":1,\"d\":1},\"c\":{\"x\":1}}}", true},
		{"[\"a\",\"a.b.c\"]", "{\"a\":{\"b\":{\"d\":1}}}", false},
		{"[\"a\",\"a.b.c\"]", "{\"a\":{\"b\":{\"c\":1}},\"z\":1}", false},
		{"[\"a-b\",\"a.b\",\"a\"]", "{\"a\":{\"b\":1},\"a-b\":1}", true},
		{"[\"a.b\",\"a-b\",\"a0\",\"a_b\"]", "{\"a\":{\"b\":1},\"a-b\":1,\"a_b\":2,\"a0\":{}}", true},
		{"[\"a.b.c\",\"a.d\",\"e\"]", "{\"a\":{\"b\":{\"c\":{\"x\":{\"y\":1}}},\"d\":1},\"e\":1}", true},
		{"[\"a.b.c\",\"a.d\",\"e\"]", "{\"a\":{\"b\":{\"c\":{\"x\":{\"y\":1}}},\"d\":1},\"e\":1,\"f\":1}", false},
		{"[\"*\",\"a\"]", "{\"a\":1,\"b\":{\"c\":1}}", true},
		{"[\"a\",\"*\"]", "{\"0\":{\"y\":{\"z\":1},\"w\":1},\"a\":1}", true},
		{"[\"*\",\"a\"]", "{\"b\":1}", false},
		{"[\"*\",\"a.b\"]", "{\"a\":{\"0\":{\"q\":1},\"b\":1,\"c\":{\"d\":1}},\"b\":1}", true},
		{"[\"*\",\"a.b\"]", "{\"a\":{\"c\":1}}", false},
		{"[\"*\"]", "{\"a\":1}", true},
		{"[\"*\"]", "{}", true},
		{"[]", "{\"a\":1}", true},
		{"null", "{\"a\":1}", true},
		{"[\"0.1\"]", "{\"0\":{\"1\":1}}", true},
	};
	struct shapes *t = shapes_new(seed);

	for (size_t i = 0; i < LEN(rows); i++) {
		struct json_doc *r = parse(rows[i].required), *a = parse(rows[i].args);
		struct err e = {0};
		struct need *n = need_new(r->root, &e);

		json_free(r);
		check(n && need_test(n, shapes_take(t, a->root)) == rows[i].want, "%s of %s: %s", rows[i].required, rows[i].args, e.msg);
		need_free(n);
		json_free(a);
	}
	shapes_free(t);
}

static void
test_refused(void)
{
	static const char *const rows[] = {
		"\"a\"", "{}", "1", "[1]", "[null]", "[\"\"]", "[\".\"]", "[\"a.\"]", "[\".a\"]", "[\"a..b\"]", "[\"a b\"]", "[\"a.*\"]",
		"[\"**\"]", "[\"a\",\"$b\"]", "[\"\\u00e9\"]", "[\"a\\u0000\"]", "[\"a/b\"]", "[\"a\",[\"b\"]]",
	};
	static const char *const any[] = {"[]", "null", "[\"*\"]", "[\"*\",\"*\"]"};
	struct need *n;

	for (size_t i = 0; i < LEN(rows); i++) {
		struct json_doc *d = parse(rows[i]);
		struct err e = {0};

		n = need_new(d->root, &e);
		check(!n && e.code == 400, "%s: code %d", rows[i], e.code);
		need_free(n);
		json_free(d);
	}
	for (size_t i = 0; i < LEN(any); i++) {
		struct json_doc *d = parse(any[i]);

		n = need_new(d->root, NULL);
		check(n && takes_all(n), "%s: any", any[i]);
		need_free(n);
		json_free(d);
	}
	n = need_new(NULL, NULL);
	check(n && takes_all(n), "no list: any");
	need_free(n);
}

/* As deep as documents can be, and deeper. */
static void
test_deep(void)
{
	struct shapes *t = shapes_new(seed);
	struct json_doc *d = json_new(), *list = json_new();
	struct buf path = {0};
	struct err e = {0};
	struct need *n;

	d->root = json_mkobj(d);
	for (int i = 1; i < JSON_DEPTH; i++) {
		struct json *up = json_mkobj(d);

		json_set(d, up, str_of("a"), d->root);
		d->root = up;
		buf_adds(&path, i == 1 ? "a" : ".a");
	}
	list->root = json_mkarr(list);
	json_push(list->root, json_mkstr(list, (struct str){path.p, path.len}));
	n = need_new(list->root, &e);
	check(n && need_test(n, shapes_take(t, d->root)), "511 parts: %s", e.msg);
	need_free(n);
	buf_adds(&path, ".a");
	json_push(list->root, json_mkstr(list, (struct str){path.p, path.len}));
	n = need_new(list->root, &e);
	check(n && !need_test(n, shapes_take(t, d->root)), "512 parts are not there: %s", e.msg);
	need_free(n);
	buf_adds(&path, ".a");
	json_push(list->root, json_mkstr(list, (struct str){path.p, path.len}));
	n = need_new(list->root, &e);
	check(!n && e.code == 400, "513 parts");
	need_free(n);
	buf_free(&path);
	json_free(list);
	json_free(d);
	shapes_free(t);
}

/* Random args and lists against SPEC's sentence, said plainly: by the sets of paths. */
enum { WIDTH = 3, DEEP = 3 };

static unsigned
chance(unsigned n)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x >> 33) % n;
}

static struct json *
random_args(struct json_doc *d, int depth)
{
	struct json *v = json_mkobj(d);

	for (int i = 0; i < WIDTH; i++) {
		const char *key = i == 0 ? "a" : i == 1 ? "a-b" : "b";

		if (chance(2))
			json_set(d, v, str_of(key), depth < DEEP && chance(2) ? random_args(d, depth + 1) : json_mkint(d, 1));
	}
	return v;
}

static const struct json *
at_path(const struct json *v, const char *path)
{
	while (v && *path) {
		size_t n = strcspn(path, ".");

		v = json_get(v, (struct str){path, n});
		path += n + (path[n] == '.');
	}
	return v;
}

/* Whether the path of every key in v is a required path, under one, or above one. */
static bool
no_more(const struct json *v, struct buf *path, const struct json *required)
{
	for (const struct json *m = v->head; m; m = m->next) {
		size_t len = path->len;
		bool under = false, above = false;

		if (len)
			buf_addc(path, '.');
		buf_add(path, m->key.p, m->key.n);
		for (const struct json *r = required->head; r; r = r->next) {
			size_t n = r->len < path->len ? r->len : path->len;

			if (memcmp(r->s, path->p, n))
				continue;
			under = under || (path->len >= r->len && (path->len == r->len || path->p[r->len] == '.'));
			above = above || (r->len > path->len && r->s[path->len] == '.');
		}
		if (!under && (!above || (m->type == JSON_OBJ && !no_more(m, path, required))))
			return false;
		path->len = len;
	}
	return true;
}

static const char *const paths[] = {
	"a", "a-b", "b", "a.a", "a.b", "a.a-b", "b.a", "b.b", "a-b.a", "a.a.a", "a.b.a", "b.b.b", "a.a.a.b", "a-b.a.b.a", "*",
};

static void
test_random(void)
{
	int matched = 0;

	for (int i = 0; i < 20000; i++) {
		struct json_doc *d = json_new();
		struct json *args = random_args(d, 0), *required = json_mkarr(d), *named = json_mkarr(d);
		struct shapes *t = shapes_new(seed);
		struct buf path = {0};
		bool star = false, want = true;
		struct need *n;

		for (unsigned k = 1 + chance(5); k; k--) {
			const char *p = paths[chance(LEN(paths))];

			json_push(required, json_mkstr(d, str_of(p)));
			if (*p == '*') {
				star = true;
				continue;
			}
			json_push(named, json_mkstr(d, str_of(p)));
			want = want && at_path(args, p);
		}
		want = want && (star || !named->len || no_more(args, &path, named));
		n = need_new(required, NULL);
		if (need_test(n, shapes_take(t, args)) != want) {
			struct buf b = {0};

			json_print(&b, required, 0);
			json_print(&b, args, 0);
			check(false, "%s: not %d", b.p, want);
			buf_free(&b);
		}
		matched += want && named->len;
		need_free(n);
		shapes_free(t);
		buf_free(&path);
		json_free(d);
	}
	check(matched > 200, "random lists match too: %d", matched);
}

/* Those that will do, found by their topmost keys, against all that are there, as shapes come and go. */
static void
test_first(void)
{
	enum { HELD = 60 };
	struct shapes *t = shapes_new(seed);
	struct shape *held[HELD] = {0};
	int found = 0;

	for (int i = 0; i < 4000; i++) {
		struct json_doc *d = json_new();
		struct json *required = json_mkarr(d);
		unsigned k = chance(HELD);
		size_t want = 0, got = 0;
		struct need *n;

		if (held[k])
			shapes_drop(t, held[k]);
		held[k] = chance(4) ? shapes_take(t, random_args(d, 0)) : NULL;
		for (unsigned j = chance(4); j; j--)
			json_push(required, json_mkstr(d, str_of(paths[chance(LEN(paths))])));
		n = need_new(required, NULL);
		for (const struct shape *s = shapes_first(t); s; s = s->next)
			want += need_test(n, s);
		for (const struct shape *s = need_first(n, t); s; s = need_next(n, s), got++)
			if (!need_test(n, s))
				check(false, "one that will not do");
		if (got != want)
			check(false, "%d are found of %d", (int)got, (int)want);
		found += got && !takes_all(n);
		need_free(n);
		json_free(d);
	}
	check(found > 100, "some are found: %d", found);
	for (int i = 0; i < HELD; i++)
		if (held[i])
			shapes_drop(t, held[i]);
	check(!t->kins && !t->n, "none are left");
	shapes_free(t);
}

int
main(void)
{
	test_text();
	test_same();
	test_many();
	test_need();
	test_refused();
	test_deep();
	test_random();
	test_first();
	return test_done("tree");
}
