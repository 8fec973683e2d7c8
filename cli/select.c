/* SPDX-License-Identifier: MIT */
/*
 * Which tasks or workers a command means, and all of them: what fits on one page comes in the server's order.  A longer list
 * comes in pages by id, which no change moves, so that none is missed or met twice while the queue goes on; it is sorted here.
 */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IDS_MAX = 256 << 20 };

static const char *
id_key(const struct select *s)
{
	return s->api == API_TASK_SEARCH ? "task_id" : "worker_id";
}

/* ---- values of fields ---- */

static const struct json *
element(const struct json *arr, struct str part)
{
	const struct json *v = arr->head;
	int64_t i;

	if (parse_int(part, &i) < 0 || i < 0)
		return NULL;
	while (v && i-- > 0)
		v = v->next;
	return v;
}

const struct json *
select_field(const struct json *v, struct str path)
{
	while (v && path.p) {
		struct str part = str_part(&path, '.');

		v = v->type == JSON_ARR ? element(v, part) : json_get(v, part);
	}
	return v;
}

int
select_check_field(const struct select *s, const char *field, const char *option, struct err *e)
{
	static const char *const task[] = {"task_id", "queue_id", "status", "task_name", "created_at", "start_time", "last_heartbeat",
	    "last_modified", "heartbeat_timeout", "task_timeout", "max_retries", "retries", "priority", "metadata", "args", "cmd",
	    "summary", "worker_id", NULL};
	static const char *const worker[] = {"worker_id", "queue_id", "status", "worker_name", "metadata", "retries", "max_retries",
	    "created_at", "last_modified", NULL};
	struct str top = {field, strcspn(field, ".")};
	const char *best = NULL;
	int least = 3;

	if (!utf8_valid(field, strlen(field)))
		return err_set(e, EXIT_USAGE, "Invalid value for %s: it is not UTF-8", option);
	for (const char *const *p = s->api == API_TASK_SEARCH ? task : worker; *p; p++) {
		int d = opt_distance(str_of(*p), top);

		if (!d)
			return 0;
		if (d < least) {
			least = d;
			best = *p;
		}
	}
	return err_set(e, EXIT_USAGE, "Invalid value for %s: '%s': there is no such field%s%s%s", option, field,
	    best ? ": did you mean " : "", best ? best : "", best ? "?" : "");
}

/* ---- the selection ---- */

void
select_init(struct select *s, enum api api)
{
	*s = (struct select){.api = api, .limit = -1, .d = json_new()};
	s->d->root = json_mkarr(s->d);
}

void
select_free(struct select *s)
{
	json_free(s->d);
	free(s->ids);
}

int
select_set(struct select *s, const struct select_text *t, struct err *e)
{
	bool task = s->api == API_TASK_SEARCH;

	if (ask_check_name(t->name, task ? "--task-name" : "--worker-name", e) < 0)
		return -1;
	if (t->id && (!*t->id || !utf8_valid(t->id, strlen(t->id))))   /* an empty one would be none to the server: all tasks */
		return err_set(e, EXIT_USAGE, "Invalid value for --%s-id: it must be an id", task ? "task" : "worker");
	if (t->limit && t->limit->given && t->limit->num < 0)
		return err_set(e, EXIT_USAGE, "Invalid value for --limit: it must not be below 0");
	if (t->offset && t->offset->num < 0)
		return err_set(e, EXIT_USAGE, "Invalid value for --offset: it must not be below 0");
	s->text = *t;
	s->limit = t->limit && t->limit->given ? t->limit->num : -1;
	s->offset = t->offset ? t->offset->num : 0;
	return ask_filter(s->d, t->filter, false, &s->filter, e);
}

bool
select_any(const struct select_text *t)
{
	return t->id || t->name || t->status || (t->filter && *t->filter);
}

static void
add_sort(struct select *s, struct str field, int way)
{
	struct json *pair;

	if (str_is(field, id_key(s)))
		field = str_of("_id");   /* so the store calls it */
	for (const struct json *p = s->d->root->head; p; p = p->next)
		if (str_eq(field, (struct str){p->head->s, p->head->len}))
			return;
	pair = json_mkarr(s->d);
	json_push(pair, json_mkstr(s->d, field));
	json_push(pair, json_mkint(s->d, way));
	json_push(s->d->root, pair);
}

/* "created_at:desc". */
static int
parse_sort(struct select *s, const char *text, struct err *e)
{
	const char *colon = strrchr(text, ':');
	struct str field = {text, colon ? (size_t)(colon - text) : strlen(text)};
	int way = !colon || !strcmp(colon, ":asc") ? 1 : !strcmp(colon, ":desc") ? -1 : 0;
	char *name;
	int rc;

	if (!field.n || !way)
		return err_set(e, EXIT_USAGE, "Invalid value for --sort: '%s': it must be FIELD:asc or FIELD:desc", text);
	name = xmemdup(field.p, field.n);
	rc = select_check_field(s, name, "--sort", e);
	free(name);
	if (!rc)
		add_sort(s, field, way);
	return rc;
}

/* The id is last, so that there is one order only. */
int
select_sort(struct select *s, const struct optval *v, struct err *e)
{
	for (int i = 0; v && i < v->nlist; i++)
		if (parse_sort(s, v->list[i], e) < 0)
			return -1;
	if (s->api == API_TASK_SEARCH)
		add_sort(s, str_of("priority"), -1);
	add_sort(s, str_of("last_modified"), 1);
	add_sort(s, str_of("created_at"), 1);
	add_sort(s, str_of("_id"), 1);
	return 0;
}

/* ---- ids one by one ---- */

int
select_id(struct select *s, struct str text, const char *where, struct err *e)
{
	unsigned char id[16];

	if (uuid_parse(text, id) < 0)
		return err_set(e, EXIT_USAGE, "%s: '%.*s' is no %s's id", where, (int)(text.n < 80 ? text.n : 80), text.p,
		    s->api == API_TASK_SEARCH ? "task" : "worker");
	if (s->nid % SELECT_PAGE == 0)
		s->ids = xrealloc(s->ids, (s->nid + SELECT_PAGE) * sizeof *s->ids);
	uuid_print(id, s->ids[s->nid++]);
	return 0;
}

int
select_words(struct select *s, char *const *word, int n, struct err *e)
{
	s->named = true;
	for (int i = 0; i < n; i++)
		if (select_id(s, str_of(word[i]), "Invalid value", e) < 0)
			return -1;
	return 0;
}

int
select_stdin(struct select *s, struct err *e)
{
	struct buf b = {0};
	int rc = ask_stdin(&b, IDS_MAX, e), line = 0;

	s->named = true;
	for (const char *p = b.p; !rc && *p;) {
		size_t n = strcspn(p, "\n"), from = strspn(p, " \t\r"), to = n;
		char where[60];

		line++;
		while (to > from && strchr(" \t\r", p[to - 1]))
			to--;
		snprintf(where, sizeof where, "line %d of standard input", line);
		if (to > from)
			rc = select_id(s, (struct str){p + from, to - from}, where, e);
		p += n + (p[n] == '\n');
	}
	buf_free(&b);
	return rc;
}

/* An empty pipe is a list of no ids; /dev/null is nobody's list. */
static bool
piped(void)
{
	struct stat st;

	return !fstat(0, &st) && S_ISFIFO(st.st_mode);
}

int
select_from(struct select *s, const struct select_text *t, const struct args *a, bool empty, struct err *e)
{
	bool task = s->api == API_TASK_SEARCH;

	if (a->nword && select_any(t))
		return err_set(e, EXIT_USAGE, "give ids or options that select, not both");
	if (a->nword)
		return select_words(s, a->word, a->nword, e);
	if (select_set(s, t, e) < 0 || select_sort(s, NULL, e) < 0)
		return -1;
	if (select_any(t))
		return 0;
	if (!isatty(0) && (select_stdin(s, e) < 0 || s->nid || (empty && piped())))
		return e->code ? -1 : 0;
	return err_set(e, EXIT_USAGE, "which %ss? name them by ids%s, or by ids on standard input (labtasker %s ls -q | ...)",
	    task ? "task" : "worker", t->offset ? ", by --name, -s or -f ('{}' is all of them)" : "", task ? "task" : "worker");
}

/* ---- fetching ---- */

/* {"_id": {op: v}} */
static struct json *
id_test(struct json_doc *d, const char *op, struct json *v)
{
	struct json *test = json_mkobj(d), *obj = json_mkobj(d);

	json_sets(d, test, op, v);
	json_sets(d, obj, "_id", test);
	return obj;
}

/* [["_id", 1]] */
static struct json *
id_order(struct json_doc *d)
{
	struct json *sort = json_mkarr(d), *pair = json_mkarr(d);

	json_push(pair, json_mkstr(d, str_of("_id")));
	json_push(pair, json_mkint(d, 1));
	json_push(sort, pair);
	return sort;
}

static struct json *
both(struct json_doc *d, struct json *one, const struct json *other)
{
	struct json *list, *obj;

	if (!other)
		return one;
	list = json_mkarr(d);
	obj = json_mkobj(d);
	json_push(list, json_copy(d, other));
	json_push(list, one);
	json_sets(d, obj, "$and", list);
	return obj;
}

/* The body of a search, with filter in the place of the selection's own. */
static struct json_doc *
request(const struct select *s, struct json_doc *d, const struct json *filter, const struct json *sort, int64_t offset,
    int64_t limit)
{
	bool task = s->api == API_TASK_SEARCH;

	d->root = json_mkobj(d);
	json_sets(d, d->root, "offset", json_mkint(d, offset));
	json_sets(d, d->root, "limit", json_mkint(d, limit));
	json_settext(d, d->root, id_key(s), s->text.id);
	json_settext(d, d->root, task ? "task_name" : "worker_name", s->text.name);
	json_settext(d, d->root, "status", s->text.status);
	if (filter)
		json_sets(d, d->root, "extra_filter", json_copy(d, filter));
	json_sets(d, d->root, "sort", json_copy(d, sort));
	return d;
}

/* The page that d asks for.  NULL: the reason was said.  Lives in *k, to be freed by the caller. */
static const struct json *
fetch(const struct context *x, struct client *c, const struct select *s, struct json_doc *d, struct call **k)
{
	const struct json *list;

	*k = call_new(s->api);
	if (s->verbose) {
		struct buf b = {0};

		json_print(&b, d->root, JSON_SPACED | JSON_TAME);
		warn("%s: %s", x->cmd->name, b.p);
		buf_free(&b);
	}
	if (ask_run(x, c, *k, d->root) < 0)
		return NULL;
	list = call_get(*k, "content");
	if (list && list->type == JSON_ARR)
		return list;
	warn("%s: the server's answer has no content: is this a labtasker server?", x->cmd->name);
	return NULL;
}

struct found {
	const char *id;
	const struct json *v;
};

static int
by_id(const void *a, const void *b)
{
	const struct found *f = a, *g = b;

	return strcmp(f->id, g->id);
}

/* Puts each of the list where its id stands among the n of ids. */
static void
place(const struct json *list, const char *key, char (*ids)[37], size_t n, const struct json **v)
{
	struct found *found = xcalloc(list->len + 1, sizeof *found);
	size_t m = 0;

	for (const struct json *one = list->head; one; one = one->next) {
		const char *id = json_text(json_gets(one, key)).p;

		if (id)
			found[m++] = (struct found){id, one};
	}
	qsort(found, m, sizeof *found, by_id);
	for (size_t i = 0; i < n; i++) {
		struct found want = {ids[i], NULL}, *got = m ? bsearch(&want, found, m, sizeof *found, by_id) : NULL;

		v[i] = got ? got->v : NULL;
	}
	free(found);
}

int
select_page(const struct context *x, struct client *c, const struct select *s, size_t from, const struct json **v, struct call **k)
{
	struct json_doc *d = json_new();
	struct json *in = json_mkarr(d);
	size_t n = s->nid - from < SELECT_PAGE ? s->nid - from : SELECT_PAGE;
	struct select bare = {.api = s->api, .verbose = s->verbose};
	const struct json *list;

	for (size_t i = 0; i < n; i++)
		json_push(in, json_mkstr(d, str_of(s->ids[from + i])));
	list = fetch(x, c, &bare, request(&bare, d, id_test(d, "$in", in), id_order(d), 0, SELECT_PAGE), k);
	if (list)
		place(list, id_key(s), s->ids + from, n, v);
	json_free(d);
	return list ? (int)n : -1;
}

/* ---- rows, and their order ---- */

/* Bytes whose order is that of the values, as MongoDB has it: null, numbers, texts, objects, arrays, bools. */
static void
put_order(struct buf *b, const struct json *v)
{
	unsigned char rank[] = {[JSON_NULL] = 1, [JSON_NUM] = 2, [JSON_STR] = 3, [JSON_OBJ] = 4, [JSON_ARR] = 5, [JSON_BOOL] = 6};
	double num;
	uint64_t bits;

	buf_addc(b, (char)rank[v ? v->type : JSON_NULL]);
	if (!v)
		return;
	switch (v->type) {
	case JSON_NUM:
		num = json_num(v) + 0.0;   /* no -0 */
		memcpy(&bits, &num, sizeof bits);
		bits = bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
		for (int shift = 56; shift >= 0; shift -= 8)
			buf_addc(b, (char)(unsigned char)(bits >> shift));
		break;
	case JSON_STR:
		buf_add(b, v->s, v->len);
		buf_addc(b, 0);
		break;
	case JSON_BOOL:
		buf_addc(b, (char)v->is);
		break;
	case JSON_NULL:
		break;
	default:
		json_print(b, v, 0);
		buf_addc(b, 0);
	}
}

/* A list is as its least element, downwards as its greatest; an empty one comes before null. */
static void
put_key(struct buf *b, const struct json *v, bool desc)
{
	struct buf best = {0}, one = {0};

	if (v && v->type == JSON_ARR) {
		for (const struct json *i = v->head; i; i = i->next) {
			struct buf swap = best;

			buf_clear(&one);
			put_order(&one, i);
			if (i != v->head && (str_order((struct str){one.p, one.len}, (struct str){best.p, best.len}) < 0) == desc)
				continue;
			best = one;
			one = swap;
		}
		if (!v->head)
			buf_addc(&best, 0);
	} else {
		put_order(&best, v);
	}
	for (size_t i = 0; i < best.len; i++)
		buf_addc(b, (char)(desc ? ~best.p[i] : best.p[i]));
	buf_free(&best);
	buf_free(&one);
}

static int
by_key(const void *a, const void *b)
{
	const struct row *r = a, *s = b;

	return str_order(r->key, s->key);
}

/* Adds a row; its places are offsets until pin. */
static void
add_row(struct rows *r, const struct select *s, const struct json *v, bool keyed, const struct rows_put *put)
{
	struct row *row;

	if (r->n % SELECT_PAGE == 0)
		r->row = xrealloc(r->row, (r->n + SELECT_PAGE) * sizeof *r->row);
	row = &r->row[r->n++];
	row->from = r->b.len;
	put->row(put->arg, &r->b, v);
	row->text.n = r->b.len - row->from;
	for (const struct json *p = keyed ? s->d->root->head : NULL; p; p = p->next) {
		struct str field = {p->head->s, p->head->len};

		put_key(&r->b, select_field(v, str_is(field, "_id") ? str_of(id_key(s)) : field), p->head->next->s[0] == '-');
	}
	row->key.n = r->b.len - row->from - row->text.n;
}

static void
pin(struct rows *r)
{
	buf_reserve(&r->b, 1);   /* all may be without text */
	for (size_t i = 0; i < r->n; i++) {
		r->row[i].text.p = r->b.p + r->row[i].from;
		r->row[i].key.p = r->row[i].text.p + r->row[i].text.n;
	}
}

/* Leaves the rows that offset and limit name. */
static void
cut(struct rows *r, int64_t offset, int64_t limit)
{
	size_t drop = (uint64_t)offset < r->n ? (size_t)offset : r->n;

	if (drop)
		memmove(r->row, r->row + drop, (r->n - drop) * sizeof *r->row);
	r->n -= drop;
	if (limit >= 0 && (uint64_t)limit < r->n)
		r->n = (size_t)limit;
}

/* One page in the server's order: 1 when it is all that was asked for, 0 when there is more, -1: said. */
static int
short_list(const struct context *x, struct client *c, const struct select *s, const struct rows_put *put, struct rows *r)
{
	int64_t want = s->limit >= 0 && s->limit < SELECT_PAGE ? s->limit : SELECT_PAGE;
	struct json_doc *d;
	const struct json *list;
	struct call *k;
	int rc;

	if (!want)
		return 1;
	d = json_new();
	list = fetch(x, c, s, request(s, d, s->filter, s->d->root, s->offset, want), &k);
	rc = !list ? -1 : list->len < SELECT_PAGE || s->limit == SELECT_PAGE;
	for (const struct json *v = rc > 0 ? list->head : NULL; v; v = v->next)
		add_row(r, s, v, false, put);
	call_free(k);
	json_free(d);
	return rc;
}

/* Page after page by id, from the one behind last on; the next last is left there. */
static int64_t
next_page(const struct context *x, struct client *c, const struct select *s, char last[37], const struct rows_put *put,
    struct rows *r)
{
	struct json_doc *d = json_new();
	const struct json *filter = s->filter;
	const struct json *list;
	struct call *k;
	int64_t n = -1;

	if (last[0])
		filter = both(d, id_test(d, "$gt", json_mkstr(d, str_of(last))), s->filter);
	list = fetch(x, c, s, request(s, d, filter, id_order(d), 0, SELECT_PAGE), &k);
	if (list)
		n = (int64_t)list->len;
	for (const struct json *v = list ? list->head : NULL; v; v = v->next) {
		struct str id = json_text(json_gets(v, id_key(s)));

		add_row(r, s, v, true, put);
		if (!v->next && id.n != 36)
			n = 0;   /* no id to go on from */
		else if (!v->next)
			memcpy(last, id.p, 37);
	}
	call_free(k);
	json_free(d);
	return n;
}

/* Those that were named one by one. */
static int
named_rows(const struct context *x, struct client *c, const struct select *s, const struct rows_put *put, struct rows *r)
{
	const struct json *v[SELECT_PAGE];
	int n = 0;

	for (size_t i = 0; n >= 0 && i < s->nid; i += SELECT_PAGE) {
		struct call *k;

		n = select_page(x, c, s, i, v, &k);
		for (int m = 0; m < n; m++)
			if (v[m])
				add_row(r, s, v[m], true, put);
		call_free(k);
	}
	return n < 0 ? -1 : 0;
}

static int
all_rows(const struct context *x, struct client *c, const struct select *s, const struct rows_put *put, struct rows *r)
{
	char last[37] = "";
	int64_t n = SELECT_PAGE;

	while (n == SELECT_PAGE)
		n = next_page(x, c, s, last, put, r);
	return n < 0 ? -1 : 0;
}

int
select_rows(const struct context *x, struct client *c, const struct select *s, const struct rows_put *put, struct rows *r)
{
	int rc = s->named ? 0 : short_list(x, c, s, put, r);

	if (rc) {
		pin(r);
		return rc < 0 ? -1 : 0;
	}
	rc = s->named ? named_rows(x, c, s, put, r) : all_rows(x, c, s, put, r);
	pin(r);
	if (r->n)
		qsort(r->row, r->n, sizeof *r->row, by_key);
	cut(r, s->offset, s->limit);
	return rc;
}

static void
put_id(void *arg, struct buf *b, const struct json *v)
{
	struct str id = json_text(json_gets(v, id_key(arg)));

	buf_add(b, id.p, id.n);
}

int
select_ids(const struct context *x, struct client *c, struct select *s)
{
	struct rows_put put = {put_id, s};
	struct rows r = {0};
	struct err e = {0};
	int rc = select_rows(x, c, s, &put, &r);

	for (size_t i = 0; !rc && i < r.n; i++)
		rc = select_id(s, r.row[i].text, "the server's answer", &e);
	rows_free(&r);
	if (e.code)
		ask_fail(x, &e);
	return rc;
}

void
rows_free(struct rows *r)
{
	buf_free(&r->b);
	free(r->row);
	*r = (struct rows){0};
}
