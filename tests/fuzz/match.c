/* SPDX-License-Identifier: MIT */
/*
 * match.c, value.c, calc.c, and the ways of show.c and index.c around them.  The first line is a filter, the others are the args of
 * one task each, or a list of required fields.  What a search and a fetch find, by whatever way, is what the filter finds when it
 * looks at each task.
 */
#include "fuzz.h"
#include "../../server/state.h"

enum { TASKS = 12 };

static const struct now now = {1785234567000000, 5000000};
static const char queue_text[] = "00000000-0000-4000-8000-0000000000aa";

struct world {
	struct store *s;
	struct queue *q;
	int tasks;
	struct json_doc *doc[TASKS], *required;
};

static void
apply(struct store *s, const struct buf *b)
{
	struct err e = {0};

	must(!queue_apply(s, b->p, b->len, now, &e), "a record of ours: %s: %s", e.msg, b->p);
}

/* Names, states and priorities differ from task to task. */
static void
add_task(struct world *w, struct json_doc *args)
{
	static const char *const names[] = {"a", "b", NULL, "a-name_2"};
	int i = w->tasks;
	struct buf b = {0};

	w->doc[w->tasks++] = args;
	buf_printf(&b, "{\"task\":\"00000000-0000-4000-8000-00000000000%x\",\"in\":1,\"seq\":%d,\"status\":\"%s\",", i, i + 2,
	    task_status[i % 3 ? i % TASK_STATES : 0]);
	if (names[i % 4])
		buf_printf(&b, "\"name\":\"%s\",", names[i % 4]);
	buf_printf(&b, "\"created\":%d,\"modified\":%d,\"start\":1785234560000000,\"retries\":0,\"max_retries\":3,"
	    "\"priority\":%d,\"args\":", i, i, i % 3);
	json_print(&b, args->root, 0);
	buf_addc(&b, '}');
	apply(w->s, &b);
	buf_free(&b);
}

static void
world_free(struct world *w)
{
	for (int i = 0; i < w->tasks; i++)
		json_free(w->doc[i]);
	json_free(w->required);
	store_free(w->s);
}

static void
world_new(struct world *w, struct str text)
{
	struct buf b = {0};

	*w = (struct world){.s = store_new()};
	buf_printf(&b, "{\"queue\":\"%s\",\"seq\":1,\"name\":\"q\",\"hash\":\"x\",\"created\":1,\"modified\":1}", queue_text);
	apply(w->s, &b);
	buf_free(&b);
	w->q = queue_find(w->s, str_of("q"));
	while (text.n && w->tasks < TASKS) {
		const char *end = memchr(text.p, '\n', text.n);
		size_t n = end ? (size_t)(end - text.p) : text.n;
		struct json_doc *d = json_parse(text.p, n, NULL);

		if (d && d->root->type == JSON_OBJ)
			add_task(w, d);
		else if (d && d->root->type == JSON_ARR && !w->required)
			w->required = d;
		else
			json_free(d);
		n += end != NULL;
		text = (struct str){text.p + n, text.n - n};
	}
}

static struct match *
compile(const struct json *filter)
{
	struct err e = {0};
	struct match *m = match_new(filter, &e);

	if (!m)
		must(e.code == 400 && e.msg[0], "refused with %d '%s'", e.code, e.msg);
	return m;
}

/* Those that fit, printed as a search does, and the one that a fetch would take.  False: the filter costs too much. */
static bool
look_at_all(struct world *w, const struct json *filter, struct buf *b, const struct task **first)
{
	struct match *m = compile(filter);
	struct view *v = view_new();
	bool ok;

	*first = NULL;
	match_drop(m, "queue_id");
	buf_addc(b, '[');
	for (const struct task *t = w->q->first; t; t = t->next) {
		view_task(v, t);
		if (!match_test(m, view_get, v))
			continue;
		buf_adds(b, b->len > 1 ? "," : "");
		queue_task_print(b, t);
		if (t->v.status == PENDING && (!*first || t->v.priority > (*first)->v.priority))
			*first = t;
	}
	buf_addc(b, ']');
	ok = match_spent(m, NULL) == 0;
	view_free(v);
	match_free(m);
	return ok;
}

static void
must_find(struct world *w, const struct json *filter)
{
	struct match *m = compile(filter), *m2 = compile(filter);
	const struct task *first;
	struct task *got = NULL;
	struct buf want = {0}, found = {0};
	struct err e = {0};
	int rc;

	if (look_at_all(w, filter, &want, &first)) {
		must(queue_search(w->q, &(struct search){.filter = m, .limit = 1000}, &found, &e) >= 0, "a search: %s", e.msg);
		must(found.len == want.len && !memcmp(found.p, want.p, want.len), "a search finds\n%s\ninstead of\n%s", found.p, want.p);
		match_drop(m2, "queue_id");
		rc = queue_fetch(w->s, w->q, &(struct fetch){.start_heartbeat = true, .filter = m2}, now, &got, &e);
		must(rc >= 0 && got == first, "a fetch takes another task");
	}
	buf_free(&want);
	buf_free(&found);
	match_free(m);
	match_free(m2);
}

/* {"$nor": [filter]} finds the others, {"$and": [filter, filter]} the same. */
static void
must_negate(struct world *w, const struct json *filter)
{
	struct json_doc *d = json_new();
	struct json *nor = json_mkobj(d), *and = json_mkobj(d), *list = json_mkarr(d), *twice = json_mkarr(d);
	struct match *m[3];
	struct view *v = view_new();

	json_push(list, json_copy(d, filter));
	json_set(d, nor, str_of("$nor"), list);
	json_push(twice, json_copy(d, filter));
	json_push(twice, json_copy(d, filter));
	json_set(d, and, str_of("$and"), twice);
	m[0] = match_new(filter, NULL);
	m[1] = match_new(nor, NULL);
	m[2] = match_new(and, NULL);
	for (const struct task *t = w->q->first; t && m[1] && m[2]; t = t->next) {
		bool is[3];

		view_task(v, t);
		for (int i = 0; i < 3; i++)
			is[i] = match_test(m[i], view_get, v);
		if (match_spent(m[0], NULL) || match_spent(m[1], NULL) || match_spent(m[2], NULL))
			break;
		must(is[0] == is[2], "a filter and itself");
		/* where $expr cannot be reckoned neither holds */
		must(is[0] != is[1] || !is[0], "a filter and its contrary");
	}
	for (int i = 0; i < 3; i++)
		match_free(m[i]);
	view_free(v);
	json_free(d);
}

static void
must_order(struct world *w)
{
	for (int i = 0; i < w->tasks && i < 5; i++) {
		for (int k = 0; k < w->tasks && k < 5; k++) {
			int c = value_compare(w->doc[i]->root, w->doc[k]->root), back = value_compare(w->doc[k]->root, w->doc[i]->root);

			must((c < 0) == (back > 0) && (c == 0) == (back == 0), "an order of two that is not one");
			must(i != k || !c, "a value that is not itself");
			for (int l = 0; c <= 0 && l < w->tasks && l < 5; l++)
				if (value_compare(w->doc[k]->root, w->doc[l]->root) <= 0)
					must(value_compare(w->doc[i]->root, w->doc[l]->root) <= 0, "an order that goes in a circle");
		}
	}
}

/* The shapes that the index gives for required fields are those that pass its test. */
static void
must_need(struct world *w)
{
	struct err e = {0};
	struct need *n = need_new(w->required ? w->required->root : NULL, &e);
	size_t passed = 0, given = 0;

	if (!n) {
		must(e.code == 400 && e.msg[0], "required fields are refused with %d '%s'", e.code, e.msg);
		return;
	}
	for (struct shape *s = shapes_first(w->q->shapes); s; s = s->next)
		passed += need_test(n, s);
	for (struct shape *s = need_first(n, w->q->shapes); s; s = need_next(n, s), given++)
		must(need_test(n, s), "a shape that will not do is given");
	must(given == passed, "%lu shapes of %lu are given", (unsigned long)given, (unsigned long)passed);
	need_free(n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint8_t *end = n ? memchr(data, '\n', n) : NULL;
	size_t len = end ? (size_t)(end - data) : n;
	struct json_doc *filter = json_parse((const char *)data, len, NULL);
	struct match *m = filter ? compile(filter->root) : NULL;
	struct world w;

	world_new(&w, end ? text_of(end + 1, n - len - 1) : text_of(data, 0));
	must_order(&w);
	must_need(&w);
	if (m) {
		match_free(m);
		must_negate(&w, filter->root);
		must_find(&w, filter->root);
	}
	world_free(&w);
	json_free(filter);
	return 0;
}
